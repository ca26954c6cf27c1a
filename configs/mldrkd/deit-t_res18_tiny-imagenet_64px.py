_base_ = ['../_base_/pairs/deit-t_res18_tiny-imagenet_64px.py', '../_base_/methods/mldrkd.py']

model = _base_._pair
