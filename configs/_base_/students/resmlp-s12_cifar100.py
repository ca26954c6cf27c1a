student = dict(type='TimmNet', model='resmlp_12_224', num_classes=100)
