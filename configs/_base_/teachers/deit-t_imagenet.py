# The authors' ImageNet-1k weights.
teacher = dict(type='TimmNet', model='deit_tiny_patch16_224.fb_in1k', num_classes=1000, pretrained=True)
