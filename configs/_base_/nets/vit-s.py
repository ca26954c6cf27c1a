# ViT-S.
_vit_s = dict(type='TimmNet', model='vit_small_patch16_224')
