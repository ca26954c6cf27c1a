_base_ = ['../_base_/pairs/swin-t_res18_imagenet.py', '../_base_/methods/hcd.py']

model = _base_._pair
