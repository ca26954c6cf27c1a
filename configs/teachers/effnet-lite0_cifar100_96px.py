# A strong teacher on a CPU, an hour of two cores: EfficientNet-Lite0 from ImageNet weights (our setting).
# The weights:
# python tools/model_converters/efficientnet_lite0.py FILE --out checkpoints/effnet-lite0_imagenet.pth
_base_ = [
    '../_base_/datasets/cifar100_96px.py',
    '../_base_/default_runtime.py',
    '../_base_/nets/effnet-lite0.py',
]

model = dict(
    type='NetClassifier',
    student=dict(_base_._effnet_lite0, pretrained='checkpoints/effnet-lite0_imagenet.pth', input_size=96),
)
data_preprocessor = dict(mean=[127.5] * 3, std=[127.5] * 3)
optim_wrapper = dict(
    optimizer=dict(type='AdamW', lr=1e-3, weight_decay=0.02),
    paramwise_cfg=dict(
        norm_decay_mult=0.0, bias_decay_mult=0.0, custom_keys={'classifier': dict(lr_mult=3.0)}
    ),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-2, by_epoch=True, begin=0, end=1, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', eta_min=1e-6, by_epoch=True, begin=1, end=6, convert_to_iter_based=True),
]
train_cfg = dict(by_epoch=True, max_epochs=6, val_interval=2)
val_cfg = dict()
test_cfg = dict()
