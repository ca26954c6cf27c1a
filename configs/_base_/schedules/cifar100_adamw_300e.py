# OFA-KD's recipe for ViT and MLP students on CIFAR-100 (read in its released code). Biases and norms have no
# weight decay, and with us no tokens, position embeddings and bias tables either, as timm means it: the
# release's distiller hides timm's list of them.
optim_wrapper = dict(
    optimizer=dict(type='AdamW', lr=5e-4, weight_decay=0.05, fused=True),
    paramwise_cfg=dict(
        flat_decay_mult=0.0,
        custom_keys={
            # A_log, A_b_log, A_logs of Mamba bear the mark _no_weight_decay.
            name: dict(decay_mult=0.0)
            for name in ('cls_token', 'pos_embed', 'relative_position_bias_table', 'A_log', 'A_b_log')
        },
    ),
    clip_grad=dict(max_norm=5.0),
)
param_scheduler = [
    # 5e-7 in the first epoch; from the 21st on the cosine from 5e-4 to 1e-5, which counts from the first, as
    # that of timm does. Their product is up to 1 % below its warm-up.
    dict(type='LinearLR', start_factor=1e-3, by_epoch=True, begin=0, end=21),
    dict(type='CosineAnnealingLR', eta_min=1e-5, T_max=300, by_epoch=True, begin=0, end=300),
]
train_cfg = dict(by_epoch=True, max_epochs=300, val_interval=1)
val_cfg = dict()
test_cfg = dict()
# The recipe's rate is for 128 images a step; used with --auto-scale-lr only.
auto_scale_lr = dict(base_batch_size=128)
