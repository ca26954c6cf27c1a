_base_ = [
    '../teachers/vim-s_cifar100.py',
    '../students/res18_cifar100.py',
    '../recipes/cifar100_cnn.py',
]
