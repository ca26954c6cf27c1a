"""Fetch and check the data sets of a config: download those that can be, count the images of all."""

import argparse

from mmengine.config import DictAction
from mmengine.registry import init_default_scope

from hetkd.apis import load_config
from hetkd.apis.cli import OPTIONS_HELP
from hetkd.registry import DATASETS


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='config file')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, help=OPTIONS_HELP)
    args = parser.parse_args(argv)
    cfg = load_config(args.config, args.cfg_options)
    init_default_scope(cfg.get('default_scope', 'hetkd'))
    for name in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        if cfg.get(name) is not None:
            dataset = DATASETS.build(cfg[name].dataset)
            classes = len(dataset.metainfo.get('classes') or ())
            print(f'{name}: {type(dataset).__name__}, {len(dataset)} images, {classes} classes')


if __name__ == '__main__':
    main()
