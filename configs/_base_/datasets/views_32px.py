# Images of 32 px at their own size.
_train_pipeline_32px = [
    dict(
        type='RandomSeeded',
        transforms=[
            dict(type='RandomCrop', crop_size=32, padding=4),
            dict(type='RandomFlip', prob=0.5, direction='horizontal'),
        ],
    ),
    dict(type='PackInputs'),
]
_test_pipeline_32px = [dict(type='PackInputs')]
