_base_ = ['../_base_/students/res18_aircraft.py', '../_base_/recipes/aircraft_cnn.py']

model = dict(type='NetClassifier', student=_base_.student)
