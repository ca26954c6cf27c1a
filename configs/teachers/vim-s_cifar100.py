# From the authors' ImageNet weights (hustvl/Vim-small-midclstok on Hugging Face).
_base_ = [
    '../_base_/datasets/cifar100_224_per_image.py',
    '../_base_/recipes/finetune.py',
    '../_base_/nets/vim-s.py',
]

model = dict(type='NetClassifier', student=dict(_base_._vim_s, pretrained='checkpoints/vim-s_in1k.pth'))
train_dataloader = dict(dataset=dict(pipeline=[*_base_._read, *_base_._strong_pipeline]))
data_preprocessor = dict(batch_augments=_base_._strong_batch)
