# CIFAR-100 at its own size, in memory, with views of whole batches on the training device.
_base_ = ['./cifar100_224_fast.py']

_checkpoint = 'checkpoints/{}_cifar100_32px.pth'
data_preprocessor = dict(train_view=dict(_delete_=True, type='BatchRandomCrop', padding=4), test_view=None)
