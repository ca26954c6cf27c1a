# A small ViT for 16 px digits: 4x4 tokens. Made by configs/teachers/vit-micro_digits.py.
teacher = dict(
    type='TimmNet',
    model='vit_tiny_patch16_224',
    num_classes=10,
    input_size=16,
    model_kwargs=dict(patch_size=4, embed_dim=64, depth=4, num_heads=4),
    checkpoint='checkpoints/vit-micro_digits.pth',
)
