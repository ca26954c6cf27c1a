# The paper's kernel; the weight is that of AberHu/Knowledge-Distillation-Zoo.
model = dict(type='FeatureDistiller', losses=[dict(type='CCLoss', gamma=0.4, order=2, loss_weight=100.0)])
