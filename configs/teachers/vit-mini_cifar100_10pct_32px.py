_base_ = [
    '../_base_/teachers/vit-mini_cifar100_10pct_32px.py',
    '../_base_/datasets/cifar100_32px_fast.py',
    '../_base_/schedules/adamw_20e.py',
    '../_base_/default_runtime.py',
]

model = dict(type='NetClassifier', student=dict(_base_.teacher, checkpoint=None))
optim_wrapper = dict(optimizer=dict(lr=1e-3))
