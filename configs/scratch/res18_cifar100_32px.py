_base_ = ['../_base_/students/res18_cifar100_32px.py', '../_base_/recipes/cifar100_cnn_32px.py']

model = dict(type='NetClassifier', student=_base_.student)
