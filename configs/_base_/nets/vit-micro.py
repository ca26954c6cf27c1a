# A small ViT for 16 px digits: 4x4 tokens.
_vit_micro = dict(
    type='TimmNet',
    model='vit_tiny_patch16_224',
    input_size=16,
    model_kwargs=dict(patch_size=4, embed_dim=64, depth=4, num_heads=4),
)
