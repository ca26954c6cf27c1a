# The paper's kernel; the weight is ours.
model = dict(type='FeatureDistiller', losses=[dict(type='CCLoss', gamma=0.4, order=2)])
