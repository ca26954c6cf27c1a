_base_ = [
    '../_base_/datasets/digits.py',
    '../_base_/schedules/digits.py',
    '../_base_/digits_runtime.py',
    '../_base_/nets/vit-micro.py',
]

model = dict(type='NetClassifier', student=_base_._vit_micro)
