_base_ = [
    '../datasets/imagenet_224.py',
    '../recipes/imagenet_cnn.py',
    '../nets/swin-t.py',
    '../nets/res18.py',
]

# The authors' ImageNet weights teach.
_pair = dict(
    teacher=dict(_base_._swin_t, model='swin_tiny_patch4_window7_224.ms_in1k', pretrained=True),
    student=_base_._res18,
)
