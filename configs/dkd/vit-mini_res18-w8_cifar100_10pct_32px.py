_base_ = ['../_base_/pairs/vit-mini_res18-w8_cifar100_10pct_32px.py', '../_base_/methods/dkd.py']

model = dict(_base_.method, teacher=_base_.teacher, student=_base_.student)
