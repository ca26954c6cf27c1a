_base_ = [
    '../datasets/imagenet_224.py',
    '../recipes/imagenet_cnn.py',
    '../nets/mixer-b16.py',
    '../nets/res18.py',
]

# The authors' ImageNet weights teach.
_pair = dict(
    teacher=dict(_base_._mixer_b16, model='mixer_b16_224.goog_in21k_ft_in1k', pretrained=True),
    student=_base_._res18,
)
