# OFA-KD's exponent on ImageNet; --method ofa takes this piece there.
_base_ = ['./ofa.py']

model = dict(ofa=dict(eps=1.5))
