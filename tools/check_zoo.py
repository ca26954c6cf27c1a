"""Derive every row of the model zoo once more from the results of its runs; fail at a difference."""

import argparse
import difflib
import sys
from pathlib import Path

from hetkd.apis.zoo import derive

ROOT = Path(__file__).resolve().parent.parent


def main(argv=None):
    argparse.ArgumentParser(description=__doc__).parse_args(argv)
    wrong = 0
    for name, expected in derive(ROOT).items():
        path = ROOT / name
        found = path.read_text() if path.exists() else ''
        if found != expected:
            wrong += 1
            lines = found.splitlines(), expected.splitlines()
            print(*difflib.unified_diff(*lines, name, 'derived from docs/zoo', lineterm='', n=0), sep='\n')
    if wrong:
        sys.exit(f'{wrong} file(s) do not say what the results say; run `python tools/model_zoo.py write`')
    print('the model zoo says what its results say')


if __name__ == '__main__':
    main()
