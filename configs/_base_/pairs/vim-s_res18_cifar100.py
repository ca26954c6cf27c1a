_base_ = [
    '../datasets/cifar100_224.py',
    '../recipes/cnn.py',
    '../nets/vim-s.py',
    '../nets/res18.py',
]

_pair = dict(
    teacher=dict(_base_._vim_s, checkpoint=_base_._checkpoint.format('vim-s')),
    student=_base_._res18,
)
