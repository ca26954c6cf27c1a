# The authors' defaults for embeddings (spacewanderx/RSD @e4c7b3d); none are published for logits.
model = dict(type='LogitDistiller', losses=[dict(type='RSDLogitLoss', kappa=0.01, loss_weight=0.1)])
