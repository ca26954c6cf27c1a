_base_ = ['../_base_/pairs/deit-t_res18_cifar100.py', '../_base_/methods/hcd.py']

model = _base_._pair
