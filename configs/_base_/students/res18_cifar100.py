student = dict(
    type='MMPretrainNet',
    num_classes=100,
    model=dict(
        type='ImageClassifier',
        backbone=dict(type='ResNet', depth=18),
        neck=dict(type='GlobalAveragePooling'),
        head=dict(type='LinearClsHead', in_channels=512, num_classes=100),
    ),
)
