_base_ = ['../_base_/pairs/effnet-lite0_res18-w16_cifar100_32px_50labels.py', '../_base_/methods/mldrkd.py']

model = _base_._pair
