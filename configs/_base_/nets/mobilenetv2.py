# MobileNetV2.
_mobilenetv2 = dict(type='TimmNet', model='mobilenetv2_100')
