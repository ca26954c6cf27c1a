# The authors' defaults (read in their released code, GzyAftermath/CAT-KD @4467073).
model = dict(type='FeatureDistiller', losses=[dict(type='CATLoss', resolution=2, loss_weight=400.0)])
