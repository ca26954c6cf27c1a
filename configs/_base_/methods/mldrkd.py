# DFRA with alpha 2 and T 1, all terms of weight 1 (read in the authors' code).
model = dict(type='MLDRKD')
