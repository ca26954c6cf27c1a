_base_ = [
    '../datasets/cifar100_224.py',
    '../recipes/cnn.py',
    '../nets/vit-l.py',
    '../nets/res101.py',
]

_pair = dict(
    teacher=dict(_base_._vit_l, checkpoint=_base_._checkpoint.format('vit-l')),
    student=_base_._res101,
)
