# ViT, MLP and Mamba students; _strong_pipeline and _strong_batch are their views (of a *_per_image.py).
_base_ = ['../schedules/cifar100_adamw_300e.py', '../datasets/views_strong.py', '../default_runtime.py']
