"""The model zoo: take in finished runs, and write its page and metafiles of them."""

import argparse
from pathlib import Path

from hetkd.apis.zoo import collect, derive

ROOT = Path(__file__).resolve().parent.parent


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest='command', required=True)
    take = commands.add_parser('collect', help='copy records and logs of a comparison into docs/zoo')
    take.add_argument('work_dir', help='folder of tools/compare.py')
    commands.add_parser('write', help='write docs/en/model_zoo.md and the metafiles')
    args = parser.parse_args(argv)
    if args.command == 'collect':
        for path in collect(args.work_dir, ROOT):
            print(path.relative_to(ROOT))
    for name, text in derive(ROOT).items():
        (ROOT / name).write_text(text)


if __name__ == '__main__':
    main()
