# CNN students on CUB-200-2011 at 224 px, with the recipe of CIFAR-100 (ours).
_base_ = [
    '../datasets/cub_224.py',
    '../schedules/cifar100_cnn_300e.py',
    '../default_runtime.py',
]
