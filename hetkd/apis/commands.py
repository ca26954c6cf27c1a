"""The console command: ``hetkd TOOL ...`` runs a file of ``tools/`` by its name."""

import ast
import sys
from difflib import get_close_matches
from pathlib import Path
from typing import Callable, Optional, Sequence

from .shipped import module_of, shipped


def tools() -> dict[str, Path]:
    """The tools by name; those of ``tools/benchmarks`` measure this package, and are run from a clone."""
    found = sorted((shipped() / 'tools').rglob('*.py'))
    return {x.stem: x for x in found if x.parent.name != 'benchmarks'}


def tool_main(name: str) -> Callable[[Sequence[str]], None]:
    """The ``main`` of a tool, to be called with its arguments in this process."""
    return module_of(tools()[name]).main


def main(argv: Optional[Sequence[str]] = None) -> None:
    """Run the tool that the first argument names with the others, as ``python tools/TOOL.py`` would."""
    name, *rest = (sys.argv[1:] if argv is None else list(argv)) or ['--help']
    known = tools()
    if name in ('-h', '--help'):
        print('usage: hetkd TOOL ...; hetkd TOOL --help\n')
        for tool, path in known.items():
            print(f'  {tool:20} {_summary(path)}')
        return
    if name not in known:
        close = get_close_matches(name, known, n=3) or sorted(known)
        sys.exit(f'hetkd: error: expected the name of a tool, got {name!r}; nearest: {", ".join(close)}')
    sys.argv = [f'hetkd {name}', *rest]
    from .cli import run_tool  # here, so that the list of tools needs no mmengine

    run_tool(tool_main(name))


def _summary(path: Path) -> str:
    """The first sentence of a tool's docstring."""
    text = ast.get_docstring(ast.parse(path.read_text())) or ''
    return ' '.join(text.split('\n\n')[0].split()).split('. ')[0].rstrip('.')
