# DeiT-T with patch 8 on 64 px images: 8x8 tokens.
_deit_t_p8 = dict(
    type='TimmNet',
    model='deit_tiny_patch16_224',
    input_size=64,
    model_kwargs=dict(patch_size=8),
)
