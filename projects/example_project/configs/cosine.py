# A method to put on any pair: tools/train.py CONFIG --method projects/example_project/configs/cosine.py
custom_imports = dict(imports=['example_project'])

model = dict(type='LogitDistiller', losses=[dict(type='CosineLoss', loss_weight=2.0)])
