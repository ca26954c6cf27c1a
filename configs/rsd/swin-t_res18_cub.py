_base_ = ['../_base_/pairs/swin-t_res18_cub.py', '../_base_/methods/rsd.py']

model = dict(_base_.method, teacher=_base_.teacher, student=_base_.student)
