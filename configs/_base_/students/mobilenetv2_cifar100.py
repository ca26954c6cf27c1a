student = dict(type='TimmNet', model='mobilenetv2_100', num_classes=100)
