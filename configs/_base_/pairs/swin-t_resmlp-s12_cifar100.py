_base_ = [
    '../teachers/swin-t_cifar100.py',
    '../students/resmlp-s12_cifar100.py',
    '../recipes/cifar100_vit.py',
]
