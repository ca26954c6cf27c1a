_base_ = [
    '../teachers/vit-l_cifar100.py',
    '../students/res101_cifar100.py',
    '../recipes/cifar100_cnn.py',
]
