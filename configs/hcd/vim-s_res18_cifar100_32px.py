_base_ = ['../_base_/pairs/vim-s_res18_cifar100_32px.py', '../_base_/methods/hcd.py']

model = _base_._pair
