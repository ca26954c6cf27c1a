# CIFAR-10 at 224 px.
_base_ = ['./views_224.py']

_checkpoint = 'checkpoints/{}_cifar10.pth'
_data = dict(type='CIFAR10', data_root='data/cifar10')
data_preprocessor = dict(
    num_classes=10,
    # Over all pixels of the training images, as in Wide ResNets' code (szagoruyko/wide-residual-networks).
    mean=[125.3, 123.0, 113.9],
    std=[63.0, 62.1, 66.7],
    to_rgb=False,  # the data set gives RGB
)
train_dataloader = dict(dataset=dict(_data, split='train'))
val_dataloader = dict(dataset=dict(_data, split='test'))
test_dataloader = val_dataloader
