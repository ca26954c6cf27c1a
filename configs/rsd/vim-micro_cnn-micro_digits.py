_base_ = ['../_base_/pairs/vim-micro_cnn-micro_digits.py', '../_base_/methods/rsd.py']

model = dict(_base_.method, teacher=_base_.teacher, student=_base_.student)
