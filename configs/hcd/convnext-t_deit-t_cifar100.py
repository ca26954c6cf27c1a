_base_ = ['../_base_/pairs/convnext-t_deit-t_cifar100.py', '../_base_/methods/hcd.py']

model = _base_._pair
