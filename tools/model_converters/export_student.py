"""Export the student of a run as a plain mmpretrain or timm weight file."""

import argparse

from mmengine.config import DictAction
from mmengine.registry import init_default_scope

from hetkd.apis import export_student, load_config
from hetkd.apis.cli import OPTIONS_HELP


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='config file of the run')
    parser.add_argument('checkpoint', help='checkpoint of the run')
    parser.add_argument('out', help='file to write, *.pth')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, help=OPTIONS_HELP)
    args = parser.parse_args(argv)
    cfg = load_config(args.config, args.cfg_options)
    init_default_scope(cfg.get('default_scope', 'hetkd'))
    config = export_student(cfg, args.checkpoint, args.out)
    print(f'Student: {args.out}' + (f'\nIts mmpretrain config: {config}' if config else ''))


if __name__ == '__main__':
    main()
