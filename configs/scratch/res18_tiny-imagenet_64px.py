_base_ = ['../_base_/students/res18_tiny-imagenet_64px.py', '../_base_/recipes/tiny-imagenet_cnn_64px.py']

model = dict(type='NetClassifier', student=_base_.student)
