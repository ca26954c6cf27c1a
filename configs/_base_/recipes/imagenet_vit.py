# ViT and MLP students on ImageNet-1k; _strong_pipeline and _strong_batch are their views.
_base_ = ['../schedules/imagenet_adamw_300e.py', '../datasets/views_strong.py', '../default_runtime.py']

default_hooks = dict(student_ema=dict(type='StudentEMAHook', momentum=4e-5))  # decay .99996
