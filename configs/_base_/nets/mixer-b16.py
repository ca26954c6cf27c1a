# Mixer-B/16.
_mixer_b16 = dict(type='TimmNet', model='mixer_b16_224')
