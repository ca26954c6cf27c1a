_base_ = ['../_base_/students/res18_cub.py', '../_base_/recipes/cub_cnn.py']

model = dict(type='NetClassifier', student=_base_.student)
