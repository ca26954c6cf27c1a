# The first 5,000 training images of CIFAR-100 at their own size, and all test images: a setting for a CPU.
_base_ = ['./cifar100_32px.py']

_checkpoint = 'checkpoints/{}_cifar100_10pct_32px.pth'
train_dataloader = dict(batch_size=64, dataset=dict(dataset=dict(indices=5000)))
val_dataloader = dict(batch_size=250)
test_dataloader = val_dataloader
