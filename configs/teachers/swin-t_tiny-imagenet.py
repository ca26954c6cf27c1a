_base_ = [
    '../_base_/teachers/swin-t_tiny-imagenet.py',
    '../_base_/datasets/tiny-imagenet_224_strong.py',
    '../_base_/schedules/cifar100_finetune.py',
    '../_base_/default_runtime.py',
]

model = dict(type='NetClassifier', student=dict(_base_.teacher, checkpoint=None, pretrained=True))
