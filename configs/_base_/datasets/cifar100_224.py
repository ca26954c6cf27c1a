# CIFAR-100 at 224 px, in memory: the same views, made of whole batches on the training device.
_base_ = ['./cifar100_224_per_image.py']

data_preprocessor = dict(
    type='BatchViewPreprocessor',
    train_view=dict(type='BatchRandomResizedCrop', scale=224),
    test_view=dict(type='BatchResizeCentreCrop', resize=256, crop=224),
)
train_dataloader = dict(
    num_workers=0,
    dataset=dict(_delete_=True, type='InMemory', dataset=dict(_base_._data, split='train')),
)
val_dataloader = dict(
    num_workers=0,
    dataset=dict(_delete_=True, type='InMemory', dataset=dict(_base_._data, split='test')),
)
test_dataloader = val_dataloader
