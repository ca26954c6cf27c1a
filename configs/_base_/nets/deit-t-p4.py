# DeiT-T with patch 4 on 32 px images: 8x8 tokens.
_deit_t_p4 = dict(
    type='TimmNet',
    model='deit_tiny_patch16_224',
    input_size=32,
    model_kwargs=dict(patch_size=4),
)
