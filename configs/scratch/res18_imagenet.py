_base_ = ['../_base_/students/res18_imagenet.py', '../_base_/recipes/imagenet_cnn.py']

model = dict(type='NetClassifier', student=_base_.student)
