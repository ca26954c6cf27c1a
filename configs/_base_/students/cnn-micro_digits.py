# ResNet-18's plan with 8 channels: 176 thousand parameters.
student = dict(
    type='MMPretrainNet',
    num_classes=10,
    input_size=16,
    model=dict(
        type='ImageClassifier',
        backbone=dict(type='ResNet_CIFAR', depth=18, stem_channels=8, base_channels=8),
        neck=dict(type='GlobalAveragePooling'),
        head=dict(type='LinearClsHead', in_channels=64, num_classes=10),
    ),
)
