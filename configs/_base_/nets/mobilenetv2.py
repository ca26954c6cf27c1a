# MobileNetV2.
_mobilenetv2 = dict(type='TimmNet', model='mobilenetv2_100', channels_last=True)
