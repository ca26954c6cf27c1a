# A ViT for 32 px images: 8x8 tokens of width 128, 1.2 million parameters.
_vit_mini = dict(
    type='TimmNet',
    model='vit_tiny_patch16_224',
    input_size=32,
    model_kwargs=dict(patch_size=4, embed_dim=128, depth=6, num_heads=4),
)
