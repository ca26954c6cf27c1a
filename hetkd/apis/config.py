"""Loading configs: inheritance, methods, overrides, and errors for misspelt keys."""

import inspect
import os.path as osp
from difflib import get_close_matches
from pathlib import Path
from typing import Optional, Union

import yaml
from mmengine.config import Config
from mmengine.fileio import register_handler
from mmengine.fileio.handlers import YamlHandler

from hetkd.errors import UserError

from .shipped import shipped

# What a config may hold beside the runner's own arguments. Any other helper variable starts with "_".
HELPER_KEYS = {
    'activation_checkpointing',
    'auto_scale_lr',
    'compile',
    'custom_imports',
    'efficient_conv_bn_eval',
    'find_unused_parameters',
    'model_wrapper_cfg',
    'own_images',
    'resume_options',
    'runner_type',
    'strategy',
    'sync_bn',
    'tta_model',
    'tta_pipeline',
}

# Helper variables of mmpretrain's configs, and the keys that take effect.
MMPRETRAIN_KEYS = {
    'bgr_mean': 'data_preprocessor.mean',
    'bgr_std': 'data_preprocessor.std',
    'data_root': 'train_dataloader.dataset.data_root',
    'dataset_type': 'train_dataloader.dataset.type',
    'test_pipeline': 'test_dataloader.dataset.pipeline',
    'train_pipeline': 'train_dataloader.dataset.pipeline',
    'vis_backends': 'visualizer.vis_backends',
}

# Names that a reader may take for keys, and what to set instead.
INSTEAD = {
    'teacher': 'set model.teacher',
    'student': 'set model.student',
    'method': 'set the keys of model, or choose a method by --method NAME',
}

CFG_OPTIONS = '--cfg-options'

# What a cell keeps when another method is put on it; the rest of its model is the method's.
CELL_KEYS = ('teacher', 'student', 'label_loss', 'data_preprocessor', 'train_cfg')


def load_config(path: Union[str, Path], options: Optional[dict] = None, method: Optional[str] = None):
    """Read a config file, put a method on it, and merge ``--cfg-options`` into it.

    Args:
        path: a file, or ``'hetkd::FOLDER/NAME'`` for one that comes with the package.
        options: overrides, with dotted keys.
        method: the method to train with in place of the config's own: the name of a piece in
            ``configs/_base_/methods``, or a file of that form.

    Returns:
        The config, without helper variables that start with ``_``. ``cfg.filename`` is the file.

    Raises:
        UserError: no such file or method, a key that nothing reads, at any depth, a value of the wrong type,
            or a config that takes no method.
    """
    # Here, since a tool shows its --help without torch.
    from hetkd.datasets.wrappers import inner_configs

    from .config_check import check_config
    from .own_images import fill_own_images

    path = find_config(path)
    cfg = read_config(path)
    check_keys(cfg, path)
    for key in [key for key in cfg if key.startswith('_')]:
        cfg.pop(key)
    if 'own_images' in cfg:
        # Size of batches and length of the run decide on others; the nets are not there yet.
        of_nets = {key: x for key, x in (options or {}).items() if key.startswith('model.')}
        _merge(cfg, {key: x for key, x in (options or {}).items() if key not in of_nets})
        fill_own_images(cfg, of_nets)
        options = {key: x for key, x in (options or {}).items() if not key.startswith('own_images.')}
    elif unread := [key for key in options or () if key.partition('.')[0] == 'own_images']:
        raise UserError(
            f'{CFG_OPTIONS}: {unread[0]}',
            'own_images in the config',
            'none',
            f'what {path} has is made already',
        )
    if method is not None:
        dataset, _ = next(inner_configs(cfg.get('train_dataloader', {}).get('dataset', {})))
        put_method(cfg, find_method(method, str(dataset.get('type', '')).lower()))
    if options:
        check_keys(options, CFG_OPTIONS, unused=set(MMPRETRAIN_KEYS))
        _merge(cfg, options)
    check_config(cfg)
    return cfg


def read_config(path: Union[str, Path]) -> Config:
    """mmengine's ``Config.fromfile``; a YAML file holds plain values alone.

    Raises:
        UserError: the file, or one that it inherits from, cannot be read.
    """
    try:
        return Config.fromfile(path)
    except UserError:
        raise
    except Exception as error:  # a config is a program: anything may go wrong in it
        raise UserError(path, 'a config that can be read', f'{type(error).__name__}: {error}') from error


def _merge(cfg: Config, options: dict) -> None:
    try:
        cfg.merge_from_dict(options)
    except Exception as error:
        raise UserError(
            '--cfg-options', 'keys that fit the config', f'{type(error).__name__}: {error}'
        ) from error


@register_handler(['yaml', 'yml'])
class PlainYaml(YamlHandler):
    """mmengine's reader of YAML files, without tags that build Python objects."""

    def load_from_fileobj(self, file, **kwargs):
        """Read plain values.

        Raises:
            UserError: the file has other tags, or is no YAML.
        """
        try:
            return yaml.safe_load(file)
        except yaml.YAMLError as error:
            got = ' '.join(str(error).split())
            raise UserError(
                'YAML', 'plain values (text, numbers, lists, dicts)', got, 'write a *.py config'
            ) from error


def run_name(config: Union[str, Path], method: Optional[str] = None) -> str:
    """Name of a run: ``METHOD/NAME``, or ``NAME`` of a file outside of ``configs`` with its own method."""
    path = Path(find_config(config)).resolve()
    if method is not None:
        return f'{Path(method).stem}/{path.stem}'
    return f'{path.parent.name}/{path.stem}' if path.parent.parent.name == 'configs' else path.stem


def find_config(path: Union[str, Path]) -> str:
    """The file of ``'hetkd::FOLDER/NAME'``; any other path as it is.

    Raises:
        UserError: no such config; names the nearest ones.
    """
    scope, separator, name = str(path).partition('::')
    root = shipped() / 'configs'
    if separator and scope == 'hetkd':
        file = root / (name if name.endswith('.py') else f'{name}.py')
    else:
        file = Path(path)
    if file.is_file():
        return str(file)
    known = [x.relative_to(root).with_suffix('').as_posix() for x in root.glob('[!_]*/*.py')]
    close = get_close_matches(f'{file.parent.name}/{file.stem}', known, n=3)
    fix = f'give its path from this folder, {Path.cwd()}; `hetkd list_configs` lists those of hetkd'
    if close:
        fix = f'nearest: {", ".join(map("hetkd::{}".format if separator else config_here, close))}'
    raise UserError('config', 'a config file', repr(str(path)), fix)


def config_here(name: str) -> str:
    """How a config of hetkd is named here: its file in the clone, elsewhere ``'hetkd::NAME'``."""
    path = f'configs/{name}.py'
    return path if Path(path).is_file() else f'hetkd::{name}'


_base_path = Config._get_cfg_path


def _find_base(path: str, filename: str) -> tuple[str, Optional[str]]:
    """mmengine's; a ``_base_`` in hetkd is found as :func:`find_config` finds it, in a clone as well."""
    return (find_config(path), None) if path.startswith('hetkd::') else _base_path(path, filename)


Config._get_cfg_path = staticmethod(_find_base)  # mmengine looks in installed packages alone


def find_method(name: str, data: str = '') -> str:
    """The file of a method: a path that ends in ``.py``, or a name in ``configs/_base_/methods``.

    Args:
        name: of the method.
        data: type of the cell's data set in small letters. A piece ``NAME_DATA.py`` takes the place of
            ``NAME.py`` there.

    Raises:
        UserError: no such method; lists those known.
    """
    if name.endswith('.py'):
        if not osp.isfile(name):
            raise UserError('--method', f'a file at {osp.abspath(name)}', 'none')
        return name
    folder = shipped() / 'configs/_base_/methods'
    for file in (folder / f'{name}_{data}.py', folder / f'{name}.py'):
        if file.is_file():
            return str(file)
    raise UserError(
        '--method', f'one of {methods()}, or a file *.py of that form (model = dict(type=...))', repr(name)
    )


def methods() -> list[str]:
    """Names of the methods that come with the package."""
    names = {x.stem for x in (shipped() / 'configs/_base_/methods').glob('*.py')}
    return sorted(x for x in names if x.partition('_')[0] not in names - {x})


def is_of_method(key: str) -> bool:
    """Whether a dotted key is a method's or its teacher's, so that the student alone has no such setting."""
    top, _, rest = key.partition('.')
    name = rest.split('.')[0]
    return top == 'model' and (name == 'teacher' or name not in CELL_KEYS)


def put_method(cfg: Config, path: str) -> None:
    """Replace the method of a cell by that of a file, whose ``model`` has all but the nets.

    The cell keeps teacher, student, data, label loss, batch augmentations and schedule. A method with
    ``teacher=None`` is trained without one.

    Raises:
        UserError: the file holds something else, or the config has no teacher.
    """
    piece = read_config(path)
    others = sorted(
        key for key in piece if key not in ('model', 'custom_imports') and not key.startswith('_')
    )
    if others or not piece.get('model', {}).get('type'):
        raise UserError(
            path,
            'a method, model = dict(type=..., ...) and at most custom_imports',
            others or 'no model.type',
            'set other keys in the config, or by --cfg-options',
        )
    if 'teacher' not in cfg.get('model', {}):
        raise UserError(
            cfg.filename,
            'a config with model.teacher and model.student to put a method on',
            f'model.type={cfg.get("model", {}).get("type")!r}',
            'leave --method out, or name a pair, such as configs/mldrkd/deit-t_res18_cifar100.py',
        )
    kept = {key: cfg.model[key] for key in CELL_KEYS if key in cfg.model}
    model = {**kept, **piece.model}
    cfg.model = {key: value for key, value in model.items() if key != 'teacher' or value is not None}
    if 'custom_imports' in piece:
        cfg.custom_imports = piece.custom_imports


def check_keys(cfg, source: str, unused: Optional[set[str]] = None) -> None:
    """Refuse top-level keys that nothing reads.

    Args:
        cfg: a config, or overrides with dotted keys.
        source: what to call it in errors.
        unused: those of :data:`MMPRETRAIN_KEYS` that change nothing here. Default: those whose value does
            not occur in the config's loaders, preprocessor and visualizer.
    """
    known = runner_keys() | HELPER_KEYS
    for key in cfg:
        top = key.split('.')[0]
        if top in known or (top.startswith('_') and source != CFG_OPTIONS):
            continue
        if top in MMPRETRAIN_KEYS:
            if top in unused if unused is not None else _is_unused(top, cfg):
                raise UserError(
                    source,
                    'keys that take effect',
                    f'{top!r}, which changes nothing',
                    f'set {MMPRETRAIN_KEYS[top]} (and its siblings) instead',
                )
            continue
        if top.startswith('_'):
            raise UserError(
                source,
                'keys that take effect',
                f'{top!r}, a helper variable that the config has used already',
                'set the keys that it went into; tools/misc/print_config.py shows them',
            )
        close = get_close_matches(top, known, n=1)
        hint = INSTEAD.get(top) or (f'did you mean {close[0]!r}?' if close else 'no such key exists')
        raise UserError(
            source,
            'known top-level keys only',
            repr(top),
            f'{hint}. A helper variable of your own may be called {"_" + top!r}',
        )


def runner_keys() -> set[str]:
    """Keys of a config that are the runner's arguments."""
    from mmengine.runner import Runner

    return set(inspect.signature(Runner.__init__).parameters) - {'self', 'cfg'}


def _is_unused(key: str, cfg) -> bool:
    """Whether a helper variable's value occurs nowhere where it would be read."""
    places = ('data_preprocessor', 'model', 'visualizer')
    places += tuple(f'{x}_{y}' for x in ('train', 'val', 'test') for y in ('dataloader', 'evaluator'))
    return not any(_holds(cfg.get(place), cfg[key]) for place in places)


def _holds(tree, value) -> bool:
    if tree == value:
        return True
    children = tree.values() if isinstance(tree, dict) else tree if isinstance(tree, (list, tuple)) else ()
    return any(_holds(child, value) for child in children)
