_base_ = [
    '../datasets/imagenet_224.py',
    '../recipes/imagenet_vit.py',
    '../nets/convnext-t.py',
    '../nets/deit-t.py',
]

# The authors' ImageNet weights teach.
_pair = dict(
    teacher=dict(_base_._convnext_t, model='convnext_tiny.fb_in1k', pretrained=True),
    student=_base_._deit_t,
)
train_dataloader = dict(dataset=dict(pipeline=[*_base_._read, *_base_._strong_pipeline]))
data_preprocessor = dict(batch_augments=_base_._strong_batch)
