_base_ = [
    '../_base_/teachers/vim-s_cifar100_32px.py',
    '../_base_/datasets/cifar100_32px.py',
    '../_base_/schedules/adamw_100e.py',
    '../_base_/default_runtime.py',
]

model = dict(type='NetClassifier', student=dict(_base_.teacher, checkpoint=None))
