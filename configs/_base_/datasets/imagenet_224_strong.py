# ImageNet-1k at 224 px with the ViT augmentation.
_base_ = ['./imagenet_224.py', './views_strong.py']

data_preprocessor = dict(batch_augments=_base_._strong_batch)
train_pipeline = [dict(type='LoadImage'), *_base_._strong_pipeline]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
