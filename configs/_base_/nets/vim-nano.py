# A Vim for 32 px images: 8x8 tokens of width 48, 85 thousand parameters.
_vim_nano = dict(
    type='MambaNet',
    model=dict(type='Vim', patch_size=4, embed_dim=48, depth=4, d_state=4),
    input_size=32,
)
