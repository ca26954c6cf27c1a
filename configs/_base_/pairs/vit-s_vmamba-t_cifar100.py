_base_ = [
    '../teachers/vit-s_cifar100.py',
    '../students/vmamba-t_cifar100.py',
    '../recipes/cifar100_vit.py',
]
