_base_ = [
    '../_base_/teachers/deit-t_tiny-imagenet_64px.py',
    '../_base_/datasets/tiny-imagenet_64px.py',
    '../_base_/schedules/adamw_100e.py',
    '../_base_/default_runtime.py',
]

model = dict(type='NetClassifier', student=dict(_base_.teacher, checkpoint=None))
