_base_ = ['../_base_/pairs/convnext-t_resmlp-s12_cifar100.py', '../_base_/methods/mldrkd.py']

model = _base_._pair
