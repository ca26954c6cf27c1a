"""Download (where possible) and check the data sets of a config."""

from mmengine.registry import init_default_scope

from hetkd.apis.cli import add_config, config_of, run_tool, tool_parser
from hetkd.datasets import broken_images, check_labels, check_names, class_names, count_problem, unheld
from hetkd.datasets.wrappers import inner_configs
from hetkd.errors import UserError
from hetkd.registry import DATASETS


def parse_args(argv=None):
    parser = tool_parser(__doc__)
    add_config(parser, 'config file')
    parser.add_argument(
        '--check-images',
        action='store_true',
        help='load every image file and list the broken and refused ones',
    )
    return parser.parse_args(argv)


def build(config):
    """Build the data set; exit with instructions if it is absent and cannot be downloaded."""
    try:
        return DATASETS.build(config)
    except (OSError, RuntimeError, AssertionError) as error:
        parts = [x for x, _ in inner_configs(config)]
        raise UserError(
            ', '.join(dict.fromkeys(x['type'] for x in parts)),
            f'its files in {", ".join(str(x.get("data_root")) for x in parts)}',
            f'{type(error).__name__}: {error}',
            'docs/en/data.md says where they come from and how they lie',
        ) from error


def refused(check, *args) -> list[str]:
    """The message of a check that fails."""
    try:
        check(*args)
    except UserError as error:
        return [str(error)]
    return []


def main(argv=None):
    args = parse_args(argv)
    cfg = config_of(args)
    init_default_scope(cfg.get('default_scope', 'hetkd'))
    problems, seen, expected = [], [], None
    for name in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        loader = cfg.get(name)
        if loader is None:
            continue
        config = unheld(loader.dataset)
        dataset = build(config)
        names = class_names(dataset)
        classes = len(names or ())
        print(f'{name}: {type(dataset).__name__}, {len(dataset)} images, {classes} classes')
        if config in seen:  # usually the test set is the validation set
            continue
        seen.append(config)
        problem = count_problem(config, len(dataset), classes)
        problems += [problem] if problem else []
        expected = expected or names
        problems += refused(check_names, expected, names, name, 'the data sets before')
        problems += refused(check_labels, dataset, name, name != 'val_dataloader')
        if args.check_images:
            problems += broken_images(dataset, max(loader.get('num_workers', 0), 1))
    if problems:
        raise SystemExit('\n'.join([*problems, f'{len(problems)} problem(s); see docs/en/data.md']))


if __name__ == '__main__':
    run_tool(main)
