# ResNet-18.
_res18 = dict(
    type='MMPretrainNet',
    model=dict(
        type='ImageClassifier',
        backbone=dict(type='ResNet', depth=18),
        neck=dict(type='GlobalAveragePooling'),
        head=dict(type='LinearClsHead', in_channels=512),
    ),
)
