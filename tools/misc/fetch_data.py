"""Download (where possible) and check the data sets of a config."""

import argparse

from mmengine.registry import init_default_scope

from hetkd.apis.cli import add_config, config_of
from hetkd.datasets import broken_images, count_problem
from hetkd.registry import DATASETS


def parse_args(argv=None):
    parser = argparse.ArgumentParser(description=__doc__)
    add_config(parser, 'config file')
    parser.add_argument(
        '--check-images', action='store_true', help='decode every image file and list the broken ones'
    )
    return parser.parse_args(argv)


def build(config):
    """Build the data set; exit with instructions if it is absent and cannot be downloaded."""
    try:
        return DATASETS.build(config)
    except (OSError, RuntimeError, AssertionError) as error:
        raise SystemExit(
            f'{config.type}: expected its files in {config.get("data_root")}, could not load them '
            f'({type(error).__name__}: {error}); docs/en/data.md says where they come from and how they lie'
        ) from error


def main(argv=None):
    args = parse_args(argv)
    cfg = config_of(args)
    init_default_scope(cfg.get('default_scope', 'hetkd'))
    problems, seen = [], []
    for name in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        loader = cfg.get(name)
        if loader is None:
            continue
        # InMemory's inner data set is checked, so that it need not be loaded into memory.
        config = loader.dataset.dataset if loader.dataset.type == 'InMemory' else loader.dataset
        dataset = build(config)
        classes = len(dataset.metainfo.get('classes') or ())
        print(f'{name}: {type(dataset).__name__}, {len(dataset)} images, {classes} classes')
        if config in seen:  # usually the test set is the validation set
            continue
        seen.append(config)
        problem = count_problem(config, len(dataset), classes)
        problems += [problem] if problem else []
        if args.check_images:
            problems += broken_images(dataset, max(loader.get('num_workers', 0), 1))
    if problems:
        raise SystemExit('\n'.join([*problems, f'{len(problems)} problem(s); see docs/en/data.md']))


if __name__ == '__main__':
    main()
