_base_ = ['../_base_/pairs/mixer-b16_deit-t_cifar100.py', '../_base_/methods/mldrkd.py']

model = _base_._pair
