_base_ = [
    '../_base_/datasets/cifar100_32px.py',
    '../_base_/schedules/adamw_100e.py',
    '../_base_/default_runtime.py',
    '../_base_/nets/deit-t-p4.py',
]

model = dict(type='NetClassifier', student=_base_._deit_t_p4)
