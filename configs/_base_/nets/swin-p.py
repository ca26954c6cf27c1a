# Swin-Pico, as in OFA-KD's released code.
_swin_p = dict(
    type='TimmNet',
    model='swin_tiny_patch4_window7_224',
    model_kwargs=dict(embed_dim=48, depths=(2, 2, 2, 2), num_heads=(2, 4, 8, 16)),
)
