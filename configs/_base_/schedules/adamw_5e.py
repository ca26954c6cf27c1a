# 5 epochs of a small net on a CPU (our setting); validated at the end. In mixed precision, which on a CPU is
# bfloat16: half the time with avx512_bf16 or amx_bf16. Float32: --cfg-options optim_wrapper.type=OptimWrapper
_base_ = ['./adamw_10e.py']

optim_wrapper = dict(type='AmpOptimWrapper')
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-2, by_epoch=True, begin=0, end=1, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', eta_min=1e-5, by_epoch=True, begin=1, end=5, convert_to_iter_based=True),
]
train_cfg = dict(max_epochs=5, val_interval=5)
