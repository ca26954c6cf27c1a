_base_ = [
    '../datasets/cifar100_224_per_image.py',
    '../recipes/vit.py',
    '../nets/mixer-b16.py',
    '../nets/deit-t.py',
]

_pair = dict(
    teacher=dict(_base_._mixer_b16, checkpoint=_base_._checkpoint.format('mixer-b16')),
    student=_base_._deit_t,
)
train_dataloader = dict(dataset=dict(pipeline=[*_base_._read, *_base_._strong_pipeline]))
data_preprocessor = dict(batch_augments=_base_._strong_batch)
