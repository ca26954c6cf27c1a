# CIFAR-100 enlarged to 96 px, in memory, with views of whole batches on the training device.
_base_ = ['./cifar100_224.py']

_checkpoint = 'checkpoints/{}_cifar100_96px.pth'
data_preprocessor = dict(
    train_view=dict(_delete_=True, type='BatchRandomCrop', padding=4, resize=96),
    test_view=dict(resize=96, crop=96, interpolation='bilinear'),
)
