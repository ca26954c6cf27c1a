_base_ = ['../_base_/students/res18_tiny-imagenet.py', '../_base_/recipes/tiny-imagenet_cnn.py']

model = dict(type='NetClassifier', student=_base_.student)
