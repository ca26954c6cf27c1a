# OFA-KD's recipe for ViT and MLP students on ImageNet (read in its released code): that of CIFAR-100, down to
# 1e-6, beside a moving average of the student (recipes/imagenet_vit.py).
_base_ = ['./cifar100_adamw_300e.py']

param_scheduler = [
    dict(type='LinearLR', start_factor=1e-3, by_epoch=True, begin=0, end=21),
    dict(type='CosineAnnealingLR', eta_min=1e-6, T_max=300, by_epoch=True, begin=0, end=300),
]
# The recipe's rate is for 1024 images a step (128 on each of 8 GPUs); used with --auto-scale-lr only.
auto_scale_lr = dict(base_batch_size=1024)
