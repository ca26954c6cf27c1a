# CNN students on Tiny-ImageNet at its own size, with the recipe of CIFAR-100 (ours).
_base_ = [
    '../datasets/tiny-imagenet_64px.py',
    '../schedules/cifar100_cnn_300e.py',
    '../default_runtime.py',
]
