# Tiny-ImageNet at 224 px, in memory, with views of whole batches.
_base_ = ['./tiny-imagenet_224.py', './views_fast.py']

_data = dict(type=_base_.dataset_type, data_root=_base_.data_root)
data_preprocessor = _base_._preprocessor_224_fast
train_dataloader = dict(
    num_workers=0, dataset=dict(_delete_=True, type='InMemory', dataset=dict(_data, split='train'))
)
val_dataloader = dict(
    num_workers=0, dataset=dict(_delete_=True, type='InMemory', dataset=dict(_data, split='val'))
)
test_dataloader = val_dataloader
