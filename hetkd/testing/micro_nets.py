"""Configs of tiny nets for 32 px images, one per family."""

from copy import deepcopy

_CONFIGS = dict(
    cnn=dict(
        type='MMPretrainNet',
        model=dict(
            type='ImageClassifier',
            backbone=dict(type='ResNet_CIFAR', depth=18, stem_channels=4, base_channels=4),
            neck=dict(type='GlobalAveragePooling'),
            head=dict(type='LinearClsHead', in_channels=32, num_classes=10),
        ),
    ),
    vit=dict(
        type='TimmNet',
        model='vit_tiny_patch16_224',
        model_kwargs=dict(patch_size=8, embed_dim=16, depth=4, num_heads=2),
    ),
    swin=dict(
        type='TimmNet',
        model='swin_tiny_patch4_window7_224',
        model_kwargs=dict(
            patch_size=2, embed_dim=8, depths=(1, 1, 1, 1), num_heads=(1, 2, 2, 2), window_size=4
        ),
    ),
    mlp=dict(
        type='MMPretrainNet',
        model=dict(
            type='ImageClassifier',
            backbone=dict(
                type='MlpMixer',
                arch=dict(embed_dims=16, num_layers=4, tokens_mlp_dims=8, channels_mlp_dims=32),
                img_size=32,
                patch_size=8,
            ),
            neck=dict(type='GlobalAveragePooling', dim=1),
            head=dict(type='LinearClsHead', in_channels=16, num_classes=10),
        ),
    ),
    vim=dict(type='MambaNet', model=dict(type='Vim', patch_size=8, embed_dim=16, depth=4, d_state=4)),
    vmamba=dict(type='MambaNet', model=dict(type='VMamba', embed_dim=8, depths=(1, 1, 1, 1))),
)

MICRO_FAMILIES = tuple(_CONFIGS)


def micro_net(family: str, num_classes: int = 10, **options) -> dict:
    """Config of a tiny net.

    Args:
        family: one of ``MICRO_FAMILIES``.
        num_classes: number of classes.
        **options: further keys of the net, e.g. ``checkpoint='random'`` for a teacher.
    """
    return deepcopy(_CONFIGS[family]) | dict(num_classes=num_classes, input_size=32) | options
