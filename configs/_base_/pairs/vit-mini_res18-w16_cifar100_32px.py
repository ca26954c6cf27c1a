_base_ = [
    '../datasets/cifar100_32px_crops.py',
    '../schedules/adamw_5e.py',
    '../default_runtime.py',
    '../nets/vit-mini.py',
    '../nets/res18-w16.py',
]

_pair = dict(
    teacher=dict(_base_._vit_mini, checkpoint=_base_._checkpoint.format('vit-mini')),
    student=_base_._res18_w16,
)
train_dataloader = dict(batch_size=64)
