# The authors' defaults (read in their released code, spacewanderx/RSD @e4c7b3d).
model = dict(
    type='FeatureDistiller',
    losses=[dict(type='RSDLoss', kappa=0.01, loss_weight=0.1)],
    embedding_matcher=dict(type='AAD', ratio=2),
)
