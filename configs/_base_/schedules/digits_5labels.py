# The student's 396 steps.
_base_ = ['./digits.py']

param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, by_epoch=False, begin=0, end=20),
    dict(type='CosineAnnealingLR', eta_min=1e-5, by_epoch=True, begin=0, end=22, convert_to_iter_based=True),
]
train_cfg = dict(max_epochs=22, val_interval=11)
