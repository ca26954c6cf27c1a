# The ViT augmentation at 224 px. The recipes also name a colour jitter, which timm leaves out where
# RandAugment is on.
_strong_pipeline = [
    dict(
        type='RandomSeeded',
        transforms=[
            dict(
                type='RandomResizedCrop',
                scale=224,
                crop_ratio_range=(0.08, 1.0),
                backend='pillow',
                interpolation='bicubic',
            ),
            dict(type='RandomFlip', prob=0.5, direction='horizontal'),
            dict(
                type='RandAugment',
                policies='timm_increasing',
                num_policies=2,
                total_level=10,
                magnitude_level=9,
                magnitude_std=0.5,
            ),
            dict(
                type='RandomErasing', erase_prob=0.25, mode='rand', min_area_ratio=0.02, max_area_ratio=1 / 3
            ),
        ],
    ),
    dict(type='PackInputs'),
]
_strong_batch = dict(augments=[dict(type='Mixup', alpha=0.8), dict(type='CutMix', alpha=1.0)])
