# ViT and MLP students on ImageNet-1k.
_base_ = [
    '../datasets/imagenet_224_strong.py',
    '../schedules/imagenet_adamw_300e.py',
    '../default_runtime.py',
]
