_base_ = ['../_base_/pairs/vit-s_res18_tiny-imagenet.py', '../_base_/methods/hcd.py']

model = _base_._pair
