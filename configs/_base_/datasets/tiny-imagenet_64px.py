# Tiny-ImageNet at its own size.
_base_ = ['./tiny-imagenet_224.py']

_checkpoint = 'checkpoints/{}_tiny-imagenet_64px.pth'
data_preprocessor = dict(train_view=dict(_delete_=True, type='BatchRandomCrop', padding=8), test_view=None)
