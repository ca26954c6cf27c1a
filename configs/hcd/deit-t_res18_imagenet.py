_base_ = ['../_base_/pairs/deit-t_res18_imagenet.py', '../_base_/methods/hcd.py']

model = _base_._pair
