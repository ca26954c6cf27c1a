# ViT and MLP students on ImageNet-1k.
_base_ = [
    '../datasets/imagenet_224_strong.py',
    '../schedules/imagenet_adamw_300e.py',
    '../default_runtime.py',
]

default_hooks = dict(student_ema=dict(type='StudentEMAHook', momentum=4e-5))  # decay .99996
