# CNN students on CIFAR-100 at its own size.
_base_ = [
    '../datasets/cifar100_32px.py',
    '../schedules/cifar100_cnn_300e.py',
    '../default_runtime.py',
]
