_base_ = ['../_base_/pairs/mixer-b16_res18_imagenet.py', '../_base_/methods/hcd.py']

model = _base_._pair
