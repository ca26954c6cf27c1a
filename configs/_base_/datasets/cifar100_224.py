# CIFAR-100 at 224 px as MLDR-KD's and OFA-KD's CNN recipe sees it: no jitter, no mixup.
dataset_type = 'CIFAR100'
data_root = 'data/cifar100'
data_preprocessor = dict(
    num_classes=100,
    mean=[129.3105, 124.0575, 112.4295],  # 255 * (.5071, .4865, .4409), RGB
    std=[68.1615, 65.3820, 70.4310],  # 255 * (.2673, .2564, .2762)
    to_rgb=False,  # the data set gives RGB
)

train_pipeline = [
    dict(
        type='RandomSeeded',
        transforms=[
            dict(
                type='RandomChoice',
                transforms=[
                    [
                        dict(
                            type='RandomResizedCrop',
                            scale=224,
                            crop_ratio_range=(0.08, 1.0),
                            backend='pillow',
                            interpolation=interpolation,
                        )
                    ]
                    for interpolation in ('bilinear', 'bicubic')
                ],
            ),
            dict(type='RandomFlip', prob=0.5, direction='horizontal'),
        ],
    ),
    dict(type='PackInputs'),
]
test_pipeline = [
    dict(type='ResizeEdge', scale=256, edge='short', backend='pillow', interpolation='bicubic'),
    dict(type='CenterCrop', crop_size=224),
    dict(type='PackInputs'),
]

train_dataloader = dict(
    batch_size=128,  # per process
    num_workers=4,
    dataset=dict(type=dataset_type, data_root=data_root, split='train', pipeline=train_pipeline),
    sampler=dict(type='DefaultSampler', shuffle=True),
    drop_last=True,
)
val_dataloader = dict(
    batch_size=128,
    num_workers=4,
    dataset=dict(type=dataset_type, data_root=data_root, split='test', pipeline=test_pipeline),
    sampler=dict(type='DefaultSampler', shuffle=False),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='Accuracy', topk=(1, 5))
test_evaluator = val_evaluator
