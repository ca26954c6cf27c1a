_base_ = ['../_base_/pairs/vit-s_res18_aircraft.py', '../_base_/methods/dist.py']

model = dict(_base_.method, teacher=_base_.teacher, student=_base_.student)
