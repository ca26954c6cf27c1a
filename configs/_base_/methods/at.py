# The common weight beside cross-entropy (our choice; the paper's code sums squares over the batch).
model = dict(type='FeatureDistiller', losses=[dict(type='ATLoss', loss_weight=1000.0)])
