# The student alone on its labels.
model = dict(type='NetClassifier', teacher=None)
