# CIFAR-10 at its own size.
_base_ = ['./cifar10_224.py', './views_32px.py']

_checkpoint = 'checkpoints/{}_cifar10_32px.pth'
train_dataloader = dict(dataset=dict(pipeline=_base_._train_pipeline_32px))
val_dataloader = dict(dataset=dict(pipeline=_base_._test_pipeline_32px))
test_dataloader = val_dataloader
