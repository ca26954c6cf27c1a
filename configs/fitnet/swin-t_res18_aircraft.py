_base_ = ['../_base_/pairs/swin-t_res18_aircraft.py', '../_base_/methods/fitnet.py']

model = dict(_base_.method, teacher=_base_.teacher, student=_base_.student)
