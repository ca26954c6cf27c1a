# ResNet-18.
_res18 = dict(
    type='MMPretrainNet',
    channels_last=True,
    model=dict(
        type='ImageClassifier',
        backbone=dict(type='ResNet', depth=18),
        neck=dict(type='GlobalAveragePooling'),
        head=dict(type='LinearClsHead', in_channels=512),
    ),
)
