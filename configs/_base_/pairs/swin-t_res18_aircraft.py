_base_ = [
    '../datasets/aircraft_224.py',
    '../recipes/cnn.py',
    '../nets/swin-t.py',
    '../nets/res18.py',
]

_pair = dict(
    teacher=dict(_base_._swin_t, checkpoint=_base_._checkpoint.format('swin-t')),
    student=_base_._res18,
)
