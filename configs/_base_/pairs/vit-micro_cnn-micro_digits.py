_base_ = [
    '../datasets/digits_5shot.py',
    '../schedules/digits_5shot.py',
    '../digits_runtime.py',
    '../nets/vit-micro.py',
    '../nets/cnn-micro.py',
]

_pair = dict(
    teacher=dict(_base_._vit_micro, checkpoint=_base_._checkpoint.format('vit-micro')),
    student=_base_._cnn_micro,
)
