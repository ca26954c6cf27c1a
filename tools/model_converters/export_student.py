"""Export the student of a run as a plain mmpretrain or timm weight file."""

from mmengine.registry import init_default_scope

from hetkd.apis import export_student
from hetkd.apis.cli import add_config, add_out, config_of, run_tool, tool_parser


def main(argv=None):
    parser = tool_parser(__doc__)
    add_config(parser)
    parser.add_argument('checkpoint', help='checkpoint of the run')
    add_out(parser, '.pth', old=['out'])
    parser.add_argument(
        '--backbone', action='store_true', help='without the class head, to fine-tune on other classes'
    )
    parser.add_argument(
        '--mean-with', nargs='+', default=[], metavar='CHECKPOINT',
        help='further checkpoints: the mean of all weights is exported (stochastic weight averaging)',
    )  # fmt: skip
    args = parser.parse_args(argv)
    cfg = config_of(args)
    init_default_scope(cfg.get('default_scope', 'hetkd'))
    config = export_student(cfg, [args.checkpoint, *args.mean_with], args.out, args.backbone)
    print(f'written: {args.out}' + (f', {config} (config for mmpretrain)' if config else ''))


if __name__ == '__main__':
    run_tool(main)
