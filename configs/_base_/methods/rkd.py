# The setting of OFA-KD's benchmark (read in its released code, Hao840/OFAKD @12eeba8).
model = dict(type='FeatureDistiller', losses=[dict(type='RKDLoss', distance_weight=25.0, angle_weight=50.0)])
