# MLDR-KD's recipe for CNN students on CIFAR-100 (read in the authors' code).
optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.05, momentum=0.9, nesterov=True, weight_decay=2e-3))
param_scheduler = [
    # 1e-4 in the first epoch, .05 in the fourth; then cosine to 1e-3.
    dict(type='LinearLR', start_factor=1e-4 / 0.05, by_epoch=True, begin=0, end=4),
    dict(type='CosineAnnealingLR', eta_min=1e-3, T_max=297, by_epoch=True, begin=3, end=300),
]
train_cfg = dict(by_epoch=True, max_epochs=300, val_interval=1)
val_cfg = dict()
test_cfg = dict()
# 128 images a process is what the authors' code says, of how many processes it does not; we take one. Used
# with --auto-scale-lr only.
auto_scale_lr = dict(base_batch_size=128)
