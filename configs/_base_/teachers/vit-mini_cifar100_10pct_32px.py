# A small ViT: 4x4 tokens, half the depth of ViT-T. Made by configs/teachers/vit-mini_cifar100_10pct_32px.py,
# which trains it on all of CIFAR-100.
teacher = dict(
    type='TimmNet',
    model='vit_tiny_patch16_224',
    num_classes=100,
    input_size=32,
    model_kwargs=dict(patch_size=8, depth=6),
    checkpoint='checkpoints/vit-mini_cifar100_10pct_32px.pth',
)
