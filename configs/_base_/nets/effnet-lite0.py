# EfficientNet-Lite0.
_effnet_lite0 = dict(type='TimmNet', model='tf_efficientnet_lite0')
