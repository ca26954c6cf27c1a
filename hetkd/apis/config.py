"""Loading configs: a misspelt key is an error, not silence."""

import inspect
from difflib import get_close_matches

from mmengine.config import Config
from mmengine.runner import Runner

# What a config may hold beside the runner's own arguments. Any other helper variable starts with "_".
HELPER_KEYS = {
    'auto_scale_lr',
    'bgr_mean',
    'bgr_std',
    'custom_imports',
    'data_root',
    'dataset_type',
    'find_unused_parameters',
    'model_wrapper_cfg',
    'runner_type',
    'student',
    'sync_bn',
    'teacher',
    'test_pipeline',
    'train_pipeline',
    'tta_model',
    'tta_pipeline',
    'vis_backends',
}


def load_config(path: str, options: dict | None = None) -> Config:
    """Read a config file and merge ``--cfg-options`` into it.

    Raises:
        FileNotFoundError: no such file.
        ValueError: a top-level key that nothing reads.
    """
    cfg = Config.fromfile(path)
    check_keys(cfg, path)
    if options:
        check_keys(options, '--cfg-options')
        cfg.merge_from_dict(options)
    return cfg


def check_keys(cfg, source: str) -> None:
    """Refuse top-level keys that nothing reads."""
    known = set(inspect.signature(Runner.__init__).parameters) - {'self', 'cfg'} | HELPER_KEYS
    for key in cfg:
        top = key.split('.')[0]
        if top in known or top.startswith('_'):
            continue
        close = get_close_matches(top, known, n=1)
        hint = f'did you mean {close[0]!r}?' if close else 'no such key exists.'
        raise ValueError(
            f'{source}: expected known top-level keys only, got {top!r}; {hint} A helper variable of your '
            f'own may be called {"_" + top!r}'
        )
