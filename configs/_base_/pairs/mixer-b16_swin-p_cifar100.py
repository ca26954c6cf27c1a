_base_ = [
    '../teachers/mixer-b16_cifar100.py',
    '../students/swin-p_cifar100.py',
    '../recipes/cifar100_vit.py',
]
