_base_ = [
    '../teachers/mixer-b16_cifar100.py',
    '../students/deit-t_cifar100.py',
    '../recipes/cifar100_vit.py',
]
