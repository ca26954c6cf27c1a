_base_ = ['../_base_/pairs/deit-t_res18_imagenet.py', '../_base_/methods/rsd.py']

model = dict(_base_.method, teacher=_base_.teacher, student=_base_.student)
