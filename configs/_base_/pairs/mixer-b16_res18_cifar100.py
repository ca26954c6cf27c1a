_base_ = [
    '../datasets/cifar100_224.py',
    '../recipes/cnn.py',
    '../nets/mixer-b16.py',
    '../nets/res18.py',
]

_pair = dict(
    teacher=dict(_base_._mixer_b16, checkpoint=_base_._checkpoint.format('mixer-b16')),
    student=_base_._res18,
)
