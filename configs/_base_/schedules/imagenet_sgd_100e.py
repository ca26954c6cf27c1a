# OFA-KD's recipe for CNN students on ImageNet (read in its released code and in timm 0.6.5, whose "sgd" is
# Nesterov's and decays no biases and norms).
optim_wrapper = dict(
    optimizer=dict(type='SGD', lr=0.1, momentum=0.9, nesterov=True, weight_decay=1e-4),
    paramwise_cfg=dict(flat_decay_mult=0.0),
)
param_scheduler = [
    # 1e-4 in the first epoch, .1 in the fourth.
    dict(type='LinearLR', start_factor=1e-3, by_epoch=True, begin=0, end=4),
    dict(type='MultiStepLR', milestones=[30, 60, 90], gamma=0.1, by_epoch=True),
]
train_cfg = dict(by_epoch=True, max_epochs=100, val_interval=1)
val_cfg = dict()
test_cfg = dict()
# The recipe's rate is for 512 images a step (64 on each of 8 GPUs); used with --auto-scale-lr only.
auto_scale_lr = dict(base_batch_size=512)
