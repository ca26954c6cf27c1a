_base_ = [
    '../datasets/cifar100_224_per_image.py',
    '../recipes/vit.py',
    '../nets/vit-s.py',
    '../nets/vim-t.py',
]

_pair = dict(
    teacher=dict(_base_._vit_s, checkpoint=_base_._checkpoint.format('vit-s')),
    student=_base_._vim_t,
)
train_dataloader = dict(dataset=dict(pipeline=[*_base_._read, *_base_._strong_pipeline]))
data_preprocessor = dict(batch_augments=_base_._strong_batch)
