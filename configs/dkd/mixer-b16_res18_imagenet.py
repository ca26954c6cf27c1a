_base_ = ['../_base_/pairs/mixer-b16_res18_imagenet.py', '../_base_/methods/dkd.py']

model = dict(_base_.method, teacher=_base_.teacher, student=_base_.student)
