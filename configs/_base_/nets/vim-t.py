# Vim-T.
_vim_t = dict(type='MambaNet', model=dict(type='Vim', arch='tiny'))
