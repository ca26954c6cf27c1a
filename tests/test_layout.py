"""Imports between layers go one way; see CONTRIBUTING.md."""

import ast
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / 'hetkd'

# Modules of hetkd that a layer may import beside its own folder; the first match counts.
ALLOWED = {
    'errors.py': (),
    'arguments.py': ('errors',),
    'terminal.py': (),
    'functional': ('errors',),
    'registry.py': ('errors', 'arguments'),
    'clock.py': ('errors',),
    'seeding.py': ('errors',),
    'draws.py': ('errors',),
    'devices.py': (),
    'teacher_cache': (
        'errors',
        'arguments',
        'registry',
        'clock',
        'devices',
        'models',
        'engine',
        'datasets',
        'utils',
    ),
    'ops': ('errors',),
    'models/backbones': ('errors', 'arguments', 'registry', 'ops'),
    'models/nets': ('errors', 'arguments', 'registry', 'utils'),
    'models/preprocessors': (
        'errors',
        'arguments',
        'registry',
        'functional',
        'clock',
        'devices',
        'draws',
        'seeding',
    ),
    'models/connectors': ('errors', 'arguments', 'registry', 'functional'),
    'models/losses': ('errors', 'arguments', 'registry', 'functional', 'clock', 'devices'),
    'models/distillers': (
        'errors',
        'arguments',
        'registry',
        'devices',
        'functional',
        'models.nets.contract',
        'models.nets.base',
        'models.nets.running',
    ),
    'models/__init__.py': ('models',),
    'testing': (),
    'datasets': ('errors', 'arguments', 'registry', 'clock', 'draws', 'seeding', 'utils'),
    'evaluation': ('errors', 'arguments', 'registry', 'functional', 'utils'),
    'engine': (
        'errors',
        'arguments',
        'registry',
        'clock',
        'draws',
        'seeding',
        'datasets',
        'functional',
        'models.nets.checkpoint',
        'terminal',
        'utils',
    ),
    'visualization': ('errors', 'functional'),
    'utils': ('errors',),  # imports the registering modules by name
    'apis': ('errors', 'arguments', 'registry', 'clock', 'engine', 'models', 'datasets', 'terminal', 'utils'),
}


def imports_of(path):
    """Names of the modules that a file imports; those of hetkd as absolute names."""
    package = ('hetkd', *path.relative_to(PACKAGE).parent.parts)
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                base = package[: len(package) - node.level + 1]
                yield '.'.join((*base, *filter(None, [node.module])))
            else:
                yield node.module


def allowed(path, name):
    relative = path.relative_to(PACKAGE).as_posix()
    layer = next((x for x in ALLOWED if relative.startswith(x)), None)
    if layer is None:
        return relative in ('__init__.py', '__main__.py', 'version.py')
    own = 'hetkd.' + layer.removesuffix('.py').removesuffix('/__init__').replace('/', '.')
    return any(name == x or name.startswith(x + '.') for x in [own, *(f'hetkd.{x}' for x in ALLOWED[layer])])


@pytest.mark.parametrize('path', sorted(PACKAGE.rglob('*.py')), ids=lambda x: str(x.relative_to(PACKAGE)))
def test_imports_follow_the_layers(path):
    names = [name for name in imports_of(path) if name.split('.')[0] == 'hetkd']
    assert [name for name in names if not allowed(path, name)] == []


@pytest.mark.parametrize(
    'path',
    sorted([*(PACKAGE / 'functional').glob('*.py'), *(PACKAGE / 'ops').glob('*.py')]),
    ids=lambda x: x.name,
)
def test_functional_and_ops_import_torch_only(path):
    roots = {name.split('.')[0] for name in imports_of(path)}
    assert roots - set(sys.stdlib_module_names) <= {'torch', 'hetkd'}


def test_drawings_need_matplotlib_and_numpy_only():
    files = (PACKAGE / 'visualization').glob('*.py')
    roots = {name.split('.')[0] for path in files for name in imports_of(path)}
    assert roots - set(sys.stdlib_module_names) <= {'matplotlib', 'numpy', 'hetkd'}


def test_timm_is_imported_only_in_its_adapter_and_mamba_nowhere():
    users = {
        path.name
        for path in PACKAGE.rglob('*.py')
        for name in imports_of(path)
        if name.split('.')[0] in ('timm', 'mamba_ssm')
    }
    assert users == {'timm_net.py'}
