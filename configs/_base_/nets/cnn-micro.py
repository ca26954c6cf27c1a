# ResNet-18's plan with 8 channels for 16 px digits: 176 thousand parameters.
_base_ = ['./res18-w8.py']

_cnn_micro = dict(_base_._res18_w8, input_size=16)
