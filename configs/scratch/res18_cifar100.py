_base_ = ['../_base_/students/res18_cifar100.py', '../_base_/recipes/cifar100_cnn.py']

model = dict(type='NetClassifier', student=_base_.student)
