# An MLP-Mixer for 32 px images: 8x8 tokens of width 64, 235 thousand parameters.
_mixer_nano = dict(
    type='MMPretrainNet',
    input_size=32,
    model=dict(
        type='ImageClassifier',
        backbone=dict(
            type='MlpMixer',
            arch=dict(embed_dims=64, num_layers=6, tokens_mlp_dims=32, channels_mlp_dims=256),
            img_size=32,
            patch_size=4,
        ),
        neck=dict(type='GlobalAveragePooling', dim=1),
        head=dict(type='LinearClsHead', in_channels=64),
    ),
)
