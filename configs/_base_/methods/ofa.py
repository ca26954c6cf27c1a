# The setting of OFA-KD's benchmark (read in its released code, Hao840/OFAKD @12eeba8).
model = dict(type='OFA', ofa=dict(type='OFALoss', eps=1.0, temperature=1.0))
