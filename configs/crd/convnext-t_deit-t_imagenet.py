_base_ = ['../_base_/pairs/convnext-t_deit-t_imagenet.py', '../_base_/methods/crd.py']

model = dict(_base_.method, teacher=_base_.teacher, student=_base_.student)
