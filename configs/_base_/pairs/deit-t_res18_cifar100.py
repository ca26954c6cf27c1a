_base_ = [
    '../datasets/cifar100_224.py',
    '../recipes/cnn.py',
    '../nets/deit-t.py',
    '../nets/res18.py',
]

_pair = dict(
    teacher=dict(_base_._deit_t, checkpoint=_base_._checkpoint.format('deit-t')),
    student=_base_._res18,
)
