# Eight epochs: minutes on a CPU.
_base_ = [
    '../_base_/datasets/cifar100_32px.py',
    '../_base_/schedules/adamw_10e.py',
    '../_base_/default_runtime.py',
    '../_base_/nets/vit-mini.py',
]

model = dict(type='NetClassifier', student=_base_._vit_mini)
optim_wrapper = dict(optimizer=dict(lr=1e-3))
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-2, by_epoch=True, begin=0, end=1, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', eta_min=1e-5, by_epoch=True, begin=1, end=8, convert_to_iter_based=True),
]
train_cfg = dict(max_epochs=8, val_interval=2)
