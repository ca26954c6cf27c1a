# CIFAR-100 at its own size.
_base_ = ['./cifar100_224.py']

_checkpoint = 'checkpoints/{}_cifar100_32px.pth'
data_preprocessor = dict(train_view=dict(_delete_=True, type='BatchRandomCrop', padding=4), test_view=None)
