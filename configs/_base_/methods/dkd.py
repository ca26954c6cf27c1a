# The setting of OFA-KD's benchmark (read in its released code, Hao840/OFAKD @12eeba8).
model = dict(type='LogitDistiller', losses=[dict(type='DKDLoss', alpha=1.0, beta=2.0, temperature=1.0)])
