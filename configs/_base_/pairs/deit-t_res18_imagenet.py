_base_ = [
    '../datasets/imagenet_224.py',
    '../recipes/imagenet_cnn.py',
    '../nets/deit-t.py',
    '../nets/res18.py',
]

# The authors' ImageNet weights teach.
_pair = dict(
    teacher=dict(_base_._deit_t, model='deit_tiny_patch16_224.fb_in1k', pretrained=True),
    student=_base_._res18,
)
