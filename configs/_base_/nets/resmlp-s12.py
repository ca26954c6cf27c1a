# ResMLP-S12.
_resmlp_s12 = dict(type='TimmNet', model='resmlp_12_224')
