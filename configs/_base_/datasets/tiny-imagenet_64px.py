# Tiny-ImageNet at its own size.
_base_ = ['./tiny-imagenet_224.py']

_checkpoint = 'checkpoints/{}_tiny-imagenet_64px.pth'
_train_pipeline = [
    dict(type='LoadImage'),
    dict(
        type='RandomSeeded',
        transforms=[
            dict(type='RandomCrop', crop_size=64, padding=8),
            dict(type='RandomFlip', prob=0.5, direction='horizontal'),
        ],
    ),
    dict(type='PackInputs'),
]
_test_pipeline = [dict(type='LoadImage'), dict(type='PackInputs')]
train_dataloader = dict(dataset=dict(pipeline=_train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=_test_pipeline))
test_dataloader = val_dataloader
