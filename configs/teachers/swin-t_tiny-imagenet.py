_base_ = [
    '../_base_/datasets/tiny-imagenet_224_per_image.py',
    '../_base_/recipes/finetune.py',
    '../_base_/nets/swin-t.py',
]

model = dict(type='NetClassifier', student=dict(_base_._swin_t, pretrained=True))
train_dataloader = dict(dataset=dict(pipeline=[*_base_._read, *_base_._strong_pipeline]))
data_preprocessor = dict(batch_augments=_base_._strong_batch)
