_base_ = ['../_base_/pairs/swin-t_res18_imagenet.py', '../_base_/methods/ofa.py']

model = dict(_base_.method, teacher=_base_.teacher, student=_base_.student)
model['ofa'] = dict(_base_.method.ofa, eps=1.5)  # OFA-KD's value on ImageNet
