_base_ = ['../_base_/pairs/vit-mini_res18-w16_cifar100_32px.py', '../_base_/methods/mldrkd.py']

model = _base_._pair
