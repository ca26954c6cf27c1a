_base_ = [
    '../datasets/tiny-imagenet_64px.py',
    '../recipes/cnn.py',
    '../nets/deit-t-p8.py',
    '../nets/res18-cifar.py',
]

_pair = dict(
    teacher=dict(_base_._deit_t_p8, checkpoint=_base_._checkpoint.format('deit-t')),
    student=dict(_base_._res18_cifar, input_size=64),
)
