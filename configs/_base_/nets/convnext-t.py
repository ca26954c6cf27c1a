# ConvNeXt-T.
_convnext_t = dict(type='TimmNet', model='convnext_tiny')
