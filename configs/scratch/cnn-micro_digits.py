_base_ = ['../_base_/students/cnn-micro_digits.py', '../_base_/recipes/digits_5shot.py']

model = dict(type='NetClassifier', student=_base_.student)
