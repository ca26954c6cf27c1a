# ViT and MLP students on CIFAR-100 at 224 px.
_base_ = [
    '../datasets/cifar100_224_strong.py',
    '../schedules/cifar100_adamw_300e.py',
    '../default_runtime.py',
]
