# Images in files at 224 px, with ImageNet's statistics.
_base_ = ['./views_224.py']

data_preprocessor = dict(
    mean=[123.675, 116.28, 103.53],  # 255 * (.485, .456, .406), RGB
    std=[58.395, 57.12, 57.375],  # 255 * (.229, .224, .225)
    to_rgb=True,  # files are read as BGR
)
_read = [dict(type='LoadImage')]
train_dataloader = dict(dataset=dict(pipeline=[*_read, *_base_._train_pipeline]))
val_dataloader = dict(dataset=dict(pipeline=[*_read, *_base_._test_pipeline]))
test_dataloader = val_dataloader
