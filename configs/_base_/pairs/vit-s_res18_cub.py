_base_ = [
    '../datasets/cub_224.py',
    '../recipes/cnn.py',
    '../nets/vit-s.py',
    '../nets/res18.py',
]

_pair = dict(
    teacher=dict(_base_._vit_s, checkpoint=_base_._checkpoint.format('vit-s')),
    student=_base_._res18,
)
