_base_ = [
    '../datasets/digits_5labels.py',
    '../schedules/digits_5labels.py',
    '../digits_runtime.py',
    '../nets/vim-micro.py',
    '../nets/cnn-micro.py',
]

_pair = dict(
    teacher=dict(_base_._vim_micro, checkpoint=_base_._checkpoint.format('vim-micro')),
    student=_base_._cnn_micro,
)
