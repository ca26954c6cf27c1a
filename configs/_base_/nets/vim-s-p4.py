# Vim-S with patch 4 on 32 px images: 8x8 tokens.
_vim_s_p4 = dict(
    type='MambaNet',
    model=dict(type='Vim', arch='small', patch_size=4),
    input_size=32,
)
