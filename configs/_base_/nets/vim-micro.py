# A small Vim for 16 px digits: 4x4 tokens.
_vim_micro = dict(
    type='MambaNet',
    model=dict(type='Vim', patch_size=4, embed_dim=48, depth=4, d_state=4),
    input_size=16,
)
