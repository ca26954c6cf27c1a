"""Loading configs: a misspelt key is an error, not silence."""

import ast
import inspect
from difflib import get_close_matches
from pathlib import Path

from mmengine.config import Config
from mmengine.runner import Runner

from hetkd.registry import SCOPE

PACKAGE = Path(__file__).resolve().parent.parent

# What a config may hold beside the runner's own arguments. Any other helper variable starts with "_".
HELPER_KEYS = {
    'activation_checkpointing',
    'auto_scale_lr',
    'bgr_mean',
    'bgr_std',
    'compile',
    'custom_imports',
    'data_root',
    'dataset_type',
    'efficient_conv_bn_eval',
    'find_unused_parameters',
    'method',
    'model_wrapper_cfg',
    'runner_type',
    'strategy',
    'student',
    'sync_bn',
    'teacher',
    'test_pipeline',
    'train_pipeline',
    'tta_model',
    'tta_pipeline',
    'vis_backends',
}


# Pieces, and what a config composes of them: a piece that changes later changes nothing.
PIECES = {
    'data_root': 'train_dataloader',
    'dataset_type': 'train_dataloader',
    'method': 'model',
    'student': 'model',
    'teacher': 'model',
    'test_pipeline': 'test_dataloader',
    'train_pipeline': 'train_dataloader',
    'vis_backends': 'visualizer',
}


def load_config(path: str, options: dict | None = None) -> Config:
    """Read a config file and merge ``--cfg-options`` into it.

    Args:
        path: a file, or ``'hetkd::METHOD/NAME'`` for one that comes with the package.
        options: overrides, with dotted keys.

    Raises:
        FileNotFoundError: no such file.
        ValueError: a top-level key that nothing reads, or that was read before it was changed.
    """
    path = find_config(path)
    cfg = Config.fromfile(path)
    check_keys(cfg, path)
    check_pieces(_unused(path), cfg, path)
    if options:
        check_keys(options, '--cfg-options')
        check_pieces({key.split('.')[0] for key in options}, cfg, '--cfg-options')
        cfg.merge_from_dict(options)
    return cfg


def find_config(path: str) -> str:
    """The file of ``'hetkd::METHOD/NAME'``; any other path as it is.

    Raises:
        FileNotFoundError: the package has no such config.
    """
    scope, separator, name = str(path).partition('::')
    if not separator or scope != SCOPE:
        return path
    root = _shipped() / 'configs'
    file = root / (name if name.endswith('.py') else f'{name}.py')
    if not file.is_file():
        known = [x.relative_to(root).with_suffix('').as_posix() for x in root.glob('[!_]*/*.py')]
        close = get_close_matches(name.removesuffix('.py'), known, n=3)
        raise FileNotFoundError(f'config: expected one of the package, got {path!r}; nearest: {close}')
    return str(file)


def _shipped() -> Path:
    """Where configs and tools lie: beside the modules of an installed package, or in the clone."""
    inside = PACKAGE / '.mim'
    return inside if inside.is_dir() else PACKAGE.parent


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


def check_pieces(names: set[str], cfg, source: str) -> None:
    """Refuse a change of a piece that the config has already used."""
    for piece in sorted(names & set(PIECES)):
        whole = PIECES[piece]
        if whole in cfg:
            inner = {'dataset_type': 'type', 'data_root': 'data_root'}.get(piece, 'pipeline')
            key = 'model' if piece == 'method' else f'model.{piece}'
            key = key if whole == 'model' else f'{whole}.dataset.{inner}'
            key = 'visualizer.vis_backends' if whole == 'visualizer' else key
            raise ValueError(
                f'{source}: expected a change of {whole!r}, got one of {piece!r}, of which {whole!r} has '
                f'been made already: it would change nothing; set {key} instead'
            )


def _unused(path: str) -> set[str]:
    """Names that the file itself sets at its top level, its bases left out, and does not use further on."""
    if not str(path).endswith('.py'):
        return set()
    tree = ast.parse(Path(path).read_text())
    used = {
        node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
    }
    assigned = (node for node in tree.body if isinstance(node, ast.Assign))
    names = {x.id for node in assigned for x in node.targets if isinstance(x, ast.Name)}
    # A file without bases, as a run leaves it in its work dir, changes nothing that was made before.
    return names - used if '_base_' in names else set()
