# CIFAR-100 at its own size.
_base_ = ['./cifar100_224.py', './views_32px.py']

train_pipeline = _base_._train_pipeline_32px
test_pipeline = _base_._test_pipeline_32px
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
