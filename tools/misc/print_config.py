"""Print a config as it is after inheritance and --cfg-options."""

import argparse

from mmengine.config import DictAction

from hetkd.apis import load_config
from hetkd.apis.cli import OPTIONS_HELP


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='config file')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, help=OPTIONS_HELP)
    args = parser.parse_args(argv)
    print(load_config(args.config, args.cfg_options).pretty_text)


if __name__ == '__main__':
    main()
