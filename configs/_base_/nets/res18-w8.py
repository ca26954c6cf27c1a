# ResNet-18 for 32 px images with an eighth of the channels: 182 thousand parameters.
_res18_w8 = dict(
    type='MMPretrainNet',
    input_size=32,
    model=dict(
        type='ImageClassifier',
        backbone=dict(type='ResNet_CIFAR', depth=18, stem_channels=8, base_channels=8),
        neck=dict(type='GlobalAveragePooling'),
        head=dict(type='LinearClsHead', in_channels=64),
    ),
)
