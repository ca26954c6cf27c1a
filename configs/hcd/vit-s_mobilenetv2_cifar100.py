_base_ = ['../_base_/pairs/vit-s_mobilenetv2_cifar100.py', '../_base_/methods/hcd.py']

model = _base_._pair
