# DeiT-T.
_deit_t = dict(type='TimmNet', model='deit_tiny_patch16_224')
