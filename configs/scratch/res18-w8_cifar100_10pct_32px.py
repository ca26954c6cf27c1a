_base_ = ['../_base_/students/res18-w8_cifar100_10pct_32px.py', '../_base_/recipes/cifar100_10pct_32px.py']

model = dict(type='NetClassifier', student=_base_.student)
