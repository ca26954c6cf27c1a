default_scope = 'hetkd'
runner_type = 'DistillRunner'

default_hooks = dict(
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=100),
    param_scheduler=dict(type='ParamSchedulerHook'),
    checkpoint=dict(type='CheckpointHook', interval=1, max_keep_ckpts=2, save_best='accuracy/top1'),
    sampler_seed=dict(type='DistSamplerSeedHook'),
    visualization=dict(type='VisualizationHook', enable=False),
    # hetkd's own; custom_hooks is yours.
    epoch_seed=dict(type='EpochSeedHook'),
    interrupt=dict(type='InterruptHook'),
    class_check=dict(type='ClassCheckHook'),
    input_check=dict(type='InputCheckHook'),
    loss_cost=dict(type='LossCostHook'),
    teacher_cache=dict(type='ReplayHook'),
    training_data=dict(type='TrainingDataHook'),
    loss_guard=dict(type='LossGuardHook', interval=50),
    # Each process has its own batch-norm statistics; average them before validation and saving.
    sync_buffers=dict(type='SyncBuffersHook'),
    teacher_check=dict(type='TeacherCheckHook'),
    # Off: the interval in iterations.
    gradient_cosine=dict(type='GradientCosineHook', interval=0),
    teacher_agreement=dict(type='TeacherAgreementHook'),
    run_record=dict(type='RunRecordHook'),
    progress=dict(type='ProgressHook'),
    waiting=dict(type='WaitingHook'),
)

env_cfg = dict(
    cudnn_benchmark=True,  # images of one size; off where randomness.deterministic=True
    matmul_precision='highest',  # float32; 'high' is TF32 on a GPU
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
    dist_cfg=dict(backend='nccl'),
)

visualizer = dict(type='UniversalVisualizer', vis_backends=[dict(type='LocalVisBackend')])

log_level = 'INFO'
load_from = None
resume = False
randomness = dict(seed=0, deterministic=False)
