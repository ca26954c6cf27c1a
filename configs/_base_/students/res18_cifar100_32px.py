# ResNet-18 for 32 px images: a 3x3 stem without downsampling.
student = dict(
    type='MMPretrainNet',
    num_classes=100,
    input_size=32,
    model=dict(
        type='ImageClassifier',
        backbone=dict(type='ResNet_CIFAR', depth=18),
        neck=dict(type='GlobalAveragePooling'),
        head=dict(type='LinearClsHead', in_channels=512, num_classes=100),
    ),
)
