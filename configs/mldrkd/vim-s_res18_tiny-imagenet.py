_base_ = ['../_base_/pairs/vim-s_res18_tiny-imagenet.py', '../_base_/methods/mldrkd.py']

model = _base_._pair
