# CIFAR-100 at its own size, in memory, with views of whole batches.
_base_ = ['./cifar100_32px.py', './views_fast.py']

_data = dict(type=_base_.dataset_type, data_root=_base_.data_root)
data_preprocessor = _base_._preprocessor_32px_fast
train_dataloader = dict(
    num_workers=0, dataset=dict(_delete_=True, type='InMemory', dataset=dict(_data, split='train'))
)
val_dataloader = dict(
    num_workers=0, dataset=dict(_delete_=True, type='InMemory', dataset=dict(_data, split='test'))
)
test_dataloader = val_dataloader
