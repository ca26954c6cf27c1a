_base_ = ['../_base_/pairs/effnet-lite0_mixer-nano_cifar100_32px.py', '../_base_/methods/mldrkd.py']

model = _base_._pair
