student = dict(type='TimmNet', model='deit_tiny_patch16_224', num_classes=100)
