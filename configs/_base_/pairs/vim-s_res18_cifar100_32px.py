_base_ = [
    '../datasets/cifar100_32px.py',
    '../recipes/cnn.py',
    '../nets/vim-s-p4.py',
    '../nets/res18-cifar.py',
]

_pair = dict(
    teacher=dict(_base_._vim_s_p4, checkpoint=_base_._checkpoint.format('vim-s')),
    student=_base_._res18_cifar,
)
