_base_ = ['../_base_/pairs/deit-t_res18_imagenet.py', '../_base_/methods/mldrkd.py']

model = _base_._pair
