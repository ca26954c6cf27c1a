_base_ = ['../_base_/pairs/swin-t_res18_cifar100.py', '../_base_/methods/mldrkd.py']

model = _base_._pair
