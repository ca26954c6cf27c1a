_base_ = [
    '../_base_/datasets/digits.py',
    '../_base_/schedules/digits.py',
    '../_base_/digits_runtime.py',
    '../_base_/nets/vim-micro.py',
]

model = dict(type='NetClassifier', student=_base_._vim_micro)
