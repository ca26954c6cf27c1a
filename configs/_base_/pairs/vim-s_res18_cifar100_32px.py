_base_ = [
    '../teachers/vim-s_cifar100_32px.py',
    '../students/res18_cifar100_32px.py',
    '../recipes/cifar100_cnn_32px.py',
]
