# The setting of OFA-KD's benchmark (read in its released code, Hao840/OFAKD @12eeba8).
model = dict(
    type='FeatureDistiller',
    losses=[dict(type='CRDLoss', num_negatives=16384, temperature=0.07, momentum=0.5, loss_weight=1.0)],
    embedding_matcher=dict(type='ContrastHead'),
)
