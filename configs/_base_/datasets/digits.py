# scikit-learn's handwritten digits: real images, no download.
_checkpoint = 'checkpoints/{}_digits.pth'
data_preprocessor = dict(num_classes=10, mean=[77.8] * 3, std=[95.9] * 3, to_rgb=False)

_train_pipeline = [
    dict(
        type='RandomSeeded',
        transforms=[dict(type='RandomCrop', crop_size=8, padding=1), dict(type='Resize', scale=16)],
    ),
    dict(type='PackInputs'),
]
_test_pipeline = [dict(type='Resize', scale=16), dict(type='PackInputs')]

train_dataloader = dict(
    batch_size=64,
    num_workers=0,
    dataset=dict(type='Digits', split='train', pipeline=_train_pipeline),
    sampler=dict(type='DefaultSampler', shuffle=True),
    drop_last=True,
)
val_dataloader = dict(
    batch_size=200,
    num_workers=0,
    dataset=dict(type='Digits', split='test', pipeline=_test_pipeline),
    sampler=dict(type='DefaultSampler', shuffle=False),
)
test_dataloader = val_dataloader
val_evaluator = [dict(type='Accuracy', topk=(1, 5)), dict(type='CalibrationError')]
test_evaluator = val_evaluator
