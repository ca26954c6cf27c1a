# Vim-S.
_vim_s = dict(type='MambaNet', model=dict(type='Vim', arch='small'))
