_base_ = ['../_base_/students/vim-t_cifar100.py', '../_base_/recipes/cifar100_vit.py']

model = dict(type='NetClassifier', student=_base_.student)
