# OFA-KD's recipe for CNN students on ImageNet; its released code also warms up for three epochs.
optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.1, momentum=0.9, weight_decay=1e-4))
param_scheduler = [dict(type='MultiStepLR', milestones=[30, 60, 90], gamma=0.1, by_epoch=True)]
train_cfg = dict(by_epoch=True, max_epochs=100, val_interval=1)
val_cfg = dict()
test_cfg = dict()
# The recipe's rate is for 256 images a step; used with --auto-scale-lr only.
auto_scale_lr = dict(base_batch_size=256)
