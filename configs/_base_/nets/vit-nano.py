# A ViT for 32 px images: 8x8 tokens of width 64, 214 thousand parameters.
_vit_nano = dict(
    type='TimmNet',
    model='vit_tiny_patch16_224',
    input_size=32,
    model_kwargs=dict(patch_size=4, embed_dim=64, depth=4, num_heads=4),
)
