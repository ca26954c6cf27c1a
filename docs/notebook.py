"""Write demo/hetkd_tutorial.ipynb from demo/tutorial.py: a text cell and a code cell for each ``# %%``."""

import json
import re
from pathlib import Path

DEMO = Path(__file__).resolve().parent.parent / 'demo'
TITLE = """# From your images to a student

On a free GPU service, first install hetkd from a clone, with a torch of 2.11 to 2.15:
`%pip install -q "./hetkd[lite]"`. It runs on a CPU as well."""


def notebook() -> str:
    """The notebook's text."""
    cells = [_cell('markdown', TITLE)]
    _, *parts = re.split(r'^# %% ', (DEMO / 'tutorial.py').read_text(), flags=re.MULTILINE)
    for part in parts:
        title, code = re.match(r'([^\n]*\n(?:# [^\n]*\n)*)(.*)', part, re.DOTALL).groups()
        cells.append(_cell('markdown', title.replace('\n# ', '\n').strip()))
        cells.append(_cell('code', code.strip()))
    content = dict(
        cells=[{'id': str(i), **cell} for i, cell in enumerate(cells)],
        metadata=dict(kernelspec=dict(display_name='Python 3', language='python', name='python3')),
        nbformat=4,
        nbformat_minor=5,
    )
    return json.dumps(content, indent=1) + '\n'


def _cell(kind: str, text: str) -> dict:
    empty = dict(execution_count=None, outputs=[]) if kind == 'code' else {}
    return dict(cell_type=kind, metadata={}, source=text.splitlines(keepends=True), **empty)


if __name__ == '__main__':
    (DEMO / 'hetkd_tutorial.ipynb').write_text(notebook())
