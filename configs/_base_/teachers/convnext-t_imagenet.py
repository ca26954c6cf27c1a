# The authors' ImageNet-1k weights.
teacher = dict(type='TimmNet', model='convnext_tiny.fb_in1k', num_classes=1000, pretrained=True)
