# A small ViT for 32 px images: 4x4 tokens, half the depth of ViT-T.
_vit_mini = dict(
    type='TimmNet',
    model='vit_tiny_patch16_224',
    input_size=32,
    model_kwargs=dict(patch_size=8, depth=6),
)
