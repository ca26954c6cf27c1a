_base_ = ['../_base_/students/deit-t_imagenet.py', '../_base_/recipes/imagenet_vit.py']

model = dict(type='NetClassifier', student=_base_.student)
