_base_ = ['../../../configs/_base_/pairs/vit-micro_cnn-micro_digits.py']

custom_imports = dict(imports=['example_project'])

model = dict(
    type='LogitDistiller',
    teacher=_base_.teacher,
    student=_base_.student,
    losses=[dict(type='CosineLoss', loss_weight=2.0)],
)
