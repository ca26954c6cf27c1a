# The setting of OFA-KD's benchmark (read in its released code, Hao840/OFAKD @12eeba8).
# It sums four stages, HintLoss averages them.
model = dict(type='FeatureDistiller', losses=[dict(type='HintLoss', loss_weight=4.0)])
