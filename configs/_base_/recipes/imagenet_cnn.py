# CNN students on ImageNet-1k.
_base_ = [
    '../datasets/imagenet_224.py',
    '../schedules/imagenet_sgd_100e.py',
    '../default_runtime.py',
]
