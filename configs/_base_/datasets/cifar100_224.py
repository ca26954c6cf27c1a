# CIFAR-100 at 224 px, in memory.
_base_ = ['./cifar100_224_per_image.py']

data_preprocessor = _base_._batch_views
train_dataloader = dict(
    num_workers=0,
    dataset=dict(_delete_=True, type='InMemory', dataset=dict(_base_._data, split='train')),
)
val_dataloader = dict(
    num_workers=0,
    dataset=dict(_delete_=True, type='InMemory', dataset=dict(_base_._data, split='test')),
)
test_dataloader = val_dataloader
