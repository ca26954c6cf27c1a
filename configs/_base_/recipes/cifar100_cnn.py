# CNN students on CIFAR-100 at 224 px.
_base_ = [
    '../datasets/cifar100_224.py',
    '../schedules/cifar100_cnn_300e.py',
    '../default_runtime.py',
]
