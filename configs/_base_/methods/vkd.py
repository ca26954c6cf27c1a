# The authors' defaults (read in their released code, roymiles/VkD @6f8a507).
model = dict(
    type='FeatureDistiller',
    losses=[dict(type='VkDLoss', loss_weight=1.0)],
    logit_losses=[dict(type='KDLoss', temperature=1.0)],
    embedding_matcher=dict(type='OrthogonalProjector'),
)
