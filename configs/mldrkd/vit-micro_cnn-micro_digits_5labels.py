_base_ = ['../_base_/pairs/vit-micro_cnn-micro_digits_5labels.py', '../_base_/methods/mldrkd.py']

model = _base_._pair
