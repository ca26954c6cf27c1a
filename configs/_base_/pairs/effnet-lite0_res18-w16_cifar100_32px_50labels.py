_base_ = [
    '../datasets/cifar100_32px_50labels.py',
    '../schedules/adamw_5e.py',
    '../default_runtime.py',
    '../nets/effnet-lite0_96px.py',
    '../nets/res18-w16.py',
]

_pair = dict(
    teacher=dict(_base_._effnet_lite0_96px, checkpoint='checkpoints/effnet-lite0_cifar100_96px.pth'),
    student=_base_._res18_w16,
)
train_dataloader = dict(batch_size=64)
