student = dict(
    type='MMPretrainNet',
    num_classes=100,
    model=dict(
        type='ImageClassifier',
        backbone=dict(type='ResNet', depth=101),
        neck=dict(type='GlobalAveragePooling'),
        head=dict(type='LinearClsHead', in_channels=2048, num_classes=100),
    ),
)
