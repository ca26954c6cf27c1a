# Fine-tuning a teacher from ImageNet weights on CIFAR-100; the number of epochs is ours.
optim_wrapper = dict(
    optimizer=dict(type='AdamW', lr=5e-5, weight_decay=0.05),
    clip_grad=dict(max_norm=5.0),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-2, by_epoch=True, begin=0, end=21),
    dict(type='CosineAnnealingLR', eta_min=1e-6, T_max=80, by_epoch=True, begin=20, end=100),
]
train_cfg = dict(by_epoch=True, max_epochs=100, val_interval=1)
val_cfg = dict()
test_cfg = dict()
auto_scale_lr = dict(base_batch_size=128)
