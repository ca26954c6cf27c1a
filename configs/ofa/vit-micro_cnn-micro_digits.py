_base_ = [
    '../_base_/teachers/vit-micro_digits.py',
    '../_base_/students/cnn-micro_digits.py',
    '../_base_/datasets/digits_5shot.py',
    '../_base_/schedules/digits_5shot.py',
    '../_base_/digits_runtime.py',
]

model = dict(type='OFA', teacher={{_base_.teacher}}, student={{_base_.student}})
