# OFA-KD's recipe for fine-tuning a teacher from ImageNet weights on CIFAR-100; the number of epochs is ours.
_base_ = ['./cifar100_adamw_300e.py']

optim_wrapper = dict(optimizer=dict(lr=5e-5))
param_scheduler = [
    # 5e-8 in the first epoch (PAT's release); from the 21st on the cosine from 5e-5 to 1e-6. Their
    # product is up to 10 % below timm's warm-up.
    dict(type='LinearLR', start_factor=1e-3, by_epoch=True, begin=0, end=21),
    dict(type='CosineAnnealingLR', eta_min=1e-6, T_max=100, by_epoch=True, begin=0, end=100),
]
train_cfg = dict(max_epochs=100)
