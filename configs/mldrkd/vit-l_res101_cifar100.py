_base_ = ['../_base_/pairs/vit-l_res101_cifar100.py', '../_base_/methods/mldrkd.py']

model = _base_._pair
