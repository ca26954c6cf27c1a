# ResNet-101.
_res101 = dict(
    type='MMPretrainNet',
    channels_last=True,
    model=dict(
        type='ImageClassifier',
        backbone=dict(type='ResNet', depth=101),
        neck=dict(type='GlobalAveragePooling'),
        head=dict(type='LinearClsHead', in_channels=2048),
    ),
)
