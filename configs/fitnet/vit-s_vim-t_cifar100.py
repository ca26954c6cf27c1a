_base_ = ['../_base_/pairs/vit-s_vim-t_cifar100.py', '../_base_/methods/fitnet.py']

model = dict(_base_.method, teacher=_base_.teacher, student=_base_.student)
