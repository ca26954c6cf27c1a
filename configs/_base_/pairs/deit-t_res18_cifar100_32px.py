_base_ = [
    '../datasets/cifar100_32px.py',
    '../recipes/cnn.py',
    '../nets/deit-t-p4.py',
    '../nets/res18-cifar.py',
]

_pair = dict(
    teacher=dict(_base_._deit_t_p4, checkpoint=_base_._checkpoint.format('deit-t')),
    student=_base_._res18_cifar,
)
