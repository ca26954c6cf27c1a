_base_ = [
    '../_base_/teachers/vim-micro_digits.py',
    '../_base_/datasets/digits.py',
    '../_base_/schedules/digits.py',
    '../_base_/digits_runtime.py',
]

model = dict(type='NetClassifier', student=dict(_base_.teacher, checkpoint=None))
