# CIFAR-100 at its own size, in memory, with views of whole batches.
_base_ = ['./cifar100_32px.py', './views_fast.py']

data_preprocessor = _base_._fast_32px
train_dataloader = dict(
    num_workers=0,
    dataset=dict(_delete_=True, type='InMemory', dataset=dict(_base_._data, split='train')),
)
val_dataloader = dict(
    num_workers=0,
    dataset=dict(_delete_=True, type='InMemory', dataset=dict(_base_._data, split='test')),
)
test_dataloader = val_dataloader
