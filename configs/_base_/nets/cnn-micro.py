# ResNet-18's plan with 8 channels for 16 px digits: 176 thousand parameters.
_cnn_micro = dict(
    type='MMPretrainNet',
    input_size=16,
    model=dict(
        type='ImageClassifier',
        backbone=dict(type='ResNet_CIFAR', depth=18, stem_channels=8, base_channels=8),
        neck=dict(type='GlobalAveragePooling'),
        head=dict(type='LinearClsHead', in_channels=64),
    ),
)
