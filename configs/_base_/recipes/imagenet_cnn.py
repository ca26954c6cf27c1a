# CNN students on ImageNet-1k.
_base_ = ['../schedules/imagenet_sgd_100e.py', '../default_runtime.py']
