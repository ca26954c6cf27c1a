# ResNet-18 for 32 px images with a quarter of the channels: 710 thousand parameters.
_base_ = ['./res18-cifar.py']

_res18_w16 = dict(
    _base_._res18_cifar,
    model=dict(
        type='ImageClassifier',
        backbone=dict(type='ResNet_CIFAR', depth=18, stem_channels=16, base_channels=16),
        neck=dict(type='GlobalAveragePooling'),
        head=dict(type='LinearClsHead', in_channels=128),
    ),
)
