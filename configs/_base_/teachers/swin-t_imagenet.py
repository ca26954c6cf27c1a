# The authors' ImageNet-1k weights.
teacher = dict(
    type='TimmNet', model='swin_tiny_patch4_window7_224.ms_in1k', num_classes=1000, pretrained=True
)
