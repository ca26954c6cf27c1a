# What all data sets share at 224 px: the views of MLDR-KD's and OFA-KD's CNN recipe (no jitter, no mixup),
# loaders, metric.
_read = []  # steps that read an image: none for a data set in memory
_train_pipeline = [
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
_test_pipeline = [
    dict(type='ResizeEdge', scale=256, edge='short', backend='pillow', interpolation='bicubic'),
    dict(type='CenterCrop', crop_size=224),
    dict(type='PackInputs'),
]

# The same views for images of one size in memory, made of whole batches on the training device.
_batch_views = dict(
    type='BatchViewPreprocessor',
    to_rgb=False,  # InMemory gives RGB
    train_view=dict(type='BatchRandomResizedCrop', scale=224),
    test_view=dict(type='BatchResizeCentreCrop', resize=256, crop=224),
)

train_dataloader = dict(
    batch_size=128,  # per process
    num_workers=4,
    dataset=dict(pipeline=_train_pipeline),
    sampler=dict(type='DefaultSampler', shuffle=True),
    drop_last=True,
)
val_dataloader = dict(
    batch_size=128,
    num_workers=4,
    dataset=dict(pipeline=_test_pipeline),
    sampler=dict(type='DefaultSampler', shuffle=False),
)
test_dataloader = val_dataloader
val_evaluator = [dict(type='Accuracy', topk=(1, 5)), dict(type='CalibrationError')]
test_evaluator = val_evaluator
