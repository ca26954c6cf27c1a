# A ViT as a teacher, distilled from a CNN, since a ViT learns slowly from 50,000 images (our setting).
_base_ = [
    '../_base_/datasets/cifar100_32px_crops.py',
    '../_base_/schedules/adamw_10e.py',
    '../_base_/default_runtime.py',
    '../_base_/nets/effnet-lite0_96px.py',
    '../_base_/nets/vit-mini.py',
    '../_base_/methods/kd.py',
]

model = dict(
    teacher=dict(_base_._effnet_lite0_96px, checkpoint='checkpoints/effnet-lite0_cifar100_96px.pth'),
    student=_base_._vit_mini,
)
train_dataloader = dict(batch_size=64)
optim_wrapper = dict(type='AmpOptimWrapper', optimizer=dict(lr=1e-3))
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-2, by_epoch=True, begin=0, end=1, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', eta_min=1e-5, by_epoch=True, begin=1, end=20, convert_to_iter_based=True),
]
train_cfg = dict(max_epochs=20, val_interval=5)
