# ResNet-18 for images of 32 or 64 px: a 3x3 stem without downsampling.
_res18_cifar = dict(
    type='MMPretrainNet',
    channels_last=True,
    input_size=32,
    model=dict(
        type='ImageClassifier',
        backbone=dict(type='ResNet_CIFAR', depth=18),
        neck=dict(type='GlobalAveragePooling'),
        head=dict(type='LinearClsHead', in_channels=512),
    ),
)
