"""What a run's config means: which net a teacher is, its number of classes, the data preprocessor."""

from typing import Optional, Sequence

from hetkd.errors import UserError
from hetkd.models.nets.base import RANDOM
from hetkd.registry import MODELS

from .frozen_teacher import OWN_KEYS, FrozenTeacher
from .teacher import Teacher


def preprocessor_config(cfg: dict) -> dict:
    """The data preprocessor of a run's config: the model's own as a whole, or that of the top level."""
    return cfg['model'].get('data_preprocessor', cfg.get('data_preprocessor')) or {}


def build_teacher(
    config: dict, data_mean: Optional[Sequence[float]] = None, data_std: Optional[Sequence[float]] = None
) -> Teacher:
    """The teacher of a config: a registered :class:`Teacher`, or a net, which a :class:`FrozenTeacher` runs.

    A net with the key ``cache`` is not run: ``CachedTeacher`` reads its outputs there.

    Args:
        config: of either.
        data_mean, data_std: normalisation of the images that a :class:`FrozenTeacher` will get.
    """
    if not _names_a_teacher(config):
        net = dict(config)
        cache = net.pop('cache', None)
        config = dict(type=FrozenTeacher, net=net)
        if cache is not None:
            config = dict(type='CachedTeacher', cache=cache, net=net, weight=net.get('weight', 1.0))
    is_online = MODELS.class_of(config) is FrozenTeacher
    return MODELS.build(
        config, default_args=dict(data_mean=data_mean, data_std=data_std) if is_online else None
    )


def online_config(config: dict) -> dict:
    """Config of an online teacher in float32 that gives what a teacher gave: its net, and how it resizes."""
    net = config['net'] if _names_a_teacher(config) else config
    return {key: value for key, value in net.items() if key not in OWN_KEYS or key == 'resize'}


def random_teacher(config: dict) -> dict:
    """The same with random weights."""
    kept = {key: value for key, value in online_config(config).items() if key != 'pretrained'}
    return dict(kept, checkpoint=RANDOM)


def random_net(config: dict) -> dict:
    """Its net alone."""
    return {key: value for key, value in random_teacher(config).items() if key != 'resize'}


def with_classes(config: dict, data_preprocessor) -> dict:
    """The config of a net or a teacher whose net has a number of classes.

    Args:
        config: a copy of it is given back.
        data_preprocessor: its ``num_classes`` is taken where the net's config says none.

    Raises:
        UserError: neither says one.
    """
    if _names_a_teacher(config):
        return dict(config, net=with_classes(config['net'], data_preprocessor))
    config = dict(config)
    if config.get('num_classes') is None:
        config['num_classes'] = getattr(data_preprocessor, 'num_classes', None)
    if config['num_classes'] is None:
        raise UserError(
            'num_classes',
            f'it in the config of the net ({config.get("type")}) or of the data preprocessor',
            'neither',
            'set data_preprocessor=dict(num_classes=N), as the data sets in configs/_base_/datasets do',
        )
    return config


def _names_a_teacher(config: dict) -> bool:
    return issubclass(MODELS.class_of(config) or object, Teacher)
