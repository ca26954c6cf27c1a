# The authors' weights, from ImageNet-21k to ImageNet-1k.
teacher = dict(type='TimmNet', model='mixer_b16_224.goog_in21k_ft_in1k', num_classes=1000, pretrained=True)
