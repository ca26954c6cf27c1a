_base_ = [
    '../datasets/cifar100_224_per_image.py',
    '../recipes/vit.py',
    '../nets/convnext-t.py',
    '../nets/deit-t.py',
]

_pair = dict(
    teacher=dict(_base_._convnext_t, checkpoint=_base_._checkpoint.format('convnext-t')),
    student=_base_._deit_t,
)
train_dataloader = dict(dataset=dict(pipeline=[*_base_._read, *_base_._strong_pipeline]))
data_preprocessor = dict(batch_augments=_base_._strong_batch)
