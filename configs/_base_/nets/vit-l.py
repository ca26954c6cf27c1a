# ViT-L.
_vit_l = dict(type='TimmNet', model='vit_large_patch16_224')
