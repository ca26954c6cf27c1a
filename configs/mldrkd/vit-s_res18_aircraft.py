_base_ = ['../_base_/pairs/vit-s_res18_aircraft.py', '../_base_/methods/mldrkd.py']

model = _base_._pair
