_base_ = ['../_base_/pairs/vit-mini_res18-w8_cifar100_10pct_32px.py', '../_base_/methods/mldrkd.py']

model = _base_._pair
