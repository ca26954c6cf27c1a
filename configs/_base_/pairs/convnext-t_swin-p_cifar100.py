_base_ = [
    '../teachers/convnext-t_cifar100.py',
    '../students/swin-p_cifar100.py',
    '../recipes/cifar100_vit.py',
]
