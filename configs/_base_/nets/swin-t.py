# Swin-T.
_swin_t = dict(type='TimmNet', model='swin_tiny_patch4_window7_224')
