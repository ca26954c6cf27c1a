"""Train a student with a teacher, or a net on labels alone."""

from hetkd.apis.cli import add_arguments, add_config, config_of, run_tool, tool_parser
from hetkd.errors import UserError


def parse_args(argv=None):
    parser = tool_parser(__doc__)
    add_config(parser, 'config file')
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        help='checkpoint to resume from; without one (or with "auto"), the latest in the work dir',
    )
    parser.add_argument(
        '--apply-changes',
        action='store_true',
        help='with --resume: continue with settings, data or teachers that have changed since the checkpoint',
    )
    parser.add_argument(
        '--amp', action='store_true', help='automatic mixed precision: float16 on a GPU, bfloat16 on a CPU'
    )
    parser.add_argument('--no-validate', action='store_true', help='no evaluation during training')
    parser.add_argument(
        '--auto-scale-lr', action='store_true', help='scale the learning rate to the actual batch size'
    )
    parser.add_argument(
        '--no-persistent-workers', action='store_true', help='new data workers in every epoch'
    )
    add_arguments(parser)
    args = parser.parse_args(argv)
    if args.apply_changes and args.resume is None:
        parser.error('--apply-changes: expected --resume beside it, got none')
    return args


def merge_args(cfg, args):
    # Here, so that --help needs no torch.
    from hetkd.apis.launch import LOADERS, merge_common
    from hetkd.engine import latest_checkpoint

    if args.no_validate:
        cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
    if args.amp:
        put_amp(cfg.optim_wrapper)
    if args.resume is not None:
        cfg.resume_options = dict(apply_changes=args.apply_changes, load_from=cfg.get('load_from'))
    if args.resume not in (None, 'auto'):
        cfg.resume, cfg.load_from = True, args.resume
    if args.auto_scale_lr:
        if 'auto_scale_lr' not in cfg:
            raise UserError(
                '--auto-scale-lr', 'auto_scale_lr=dict(base_batch_size=...) in the config', 'none'
            )
        cfg.auto_scale_lr.enable = True
    merge_common(cfg, args, LOADERS)
    if args.resume == 'auto':
        latest = latest_checkpoint(cfg.work_dir)
        # Without one the run begins, with load_from if the config has it.
        cfg.resume = latest is not None or cfg.get('load_from') is None
        cfg.load_from = latest or cfg.get('load_from')
    if args.no_persistent_workers:
        for name in LOADERS:
            if cfg.get(name) is not None:
                cfg[name].persistent_workers = False
    return cfg


def put_amp(optim_wrapper):
    from mmengine.optim import AmpOptimWrapper, OptimWrapper

    from hetkd.registry import OPTIM_WRAPPERS

    kind = OPTIM_WRAPPERS.class_of(dict(optim_wrapper)) or OptimWrapper
    if kind is OptimWrapper:
        optim_wrapper.type = 'AmpOptimWrapper'
    elif not issubclass(kind, AmpOptimWrapper):
        raise UserError(
            '--amp',
            'OptimWrapper in optim_wrapper.type',
            kind.__name__,
            'leave --amp out, or change the type',
        )


def main(argv=None):
    args = parse_args(argv)
    cfg = config_of(args)

    from mmengine.device import get_device

    from hetkd.apis.launch import build_runner
    from hetkd.engine import has_bfloat16

    runner = build_runner(merge_args(cfg, args))
    if 'Amp' not in cfg.optim_wrapper.get('type', '') and get_device() == 'cpu' and has_bfloat16():
        runner.logger.info('this processor multiplies in bfloat16: --amp may train faster')
    runner.train()


if __name__ == '__main__':
    run_tool(main)
