_base_ = ['../_base_/pairs/swin-t_resmlp-s12_cifar100.py', '../_base_/methods/hcd.py']

model = _base_._pair
