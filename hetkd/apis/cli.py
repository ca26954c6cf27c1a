"""What the command-line tools share: flags, and the end of a run that a user's mistake stops.

It imports no torch, so that ``--help`` is there at once.
"""

import argparse
import os
import sys
import time
from typing import Callable

from mmengine.config import Config, DictAction

from hetkd.errors import UserError
from hetkd.terminal import TerminalFilter, capture_warnings

from .config import load_config

OPTIONS_HELP = (
    'override settings of the config, as key=value; a list as key="[a,b]" or key=a,b; nested as '
    'key="[(a,b),(c,d)]", with the quotation marks and without white space'
)


def add_config(parser: argparse.ArgumentParser, text: str = 'config file of the run') -> None:
    """A config, the method to put on it, and overrides; read by :func:`config_of`."""
    parser.add_argument('config', help=text)
    parser.add_argument(
        '--method', metavar='NAME|FILE',
        help="method in place of the config's own: a name in configs/_base_/methods, or a file *.py of that "
        'form; "scratch" trains the student alone on its labels',
    )  # fmt: skip
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, help=OPTIONS_HELP)
    parser.add_argument(
        '--verbose', action='store_true', help='show on the terminal all that goes to the log file'
    )


def config_of(args: argparse.Namespace) -> Config:
    """The config that :func:`add_config`'s arguments name."""
    TerminalFilter.verbose = args.verbose
    return load_config(args.config, args.cfg_options, args.method)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags that training and testing share."""
    parser.add_argument('--work-dir', help='folder of logs, checkpoints and metrics')
    parser.add_argument('--no-pin-memory', action='store_true', help='no pinned memory in dataloaders')
    parser.add_argument(
        '--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none', help='job launcher'
    )
    # torch < 2 passed --local_rank, torch >= 2 passes --local-rank, torchrun sets LOCAL_RANK.
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0)


def add_run(parser: argparse.ArgumentParser) -> None:
    """The arguments of a tool that looks at a trained run."""
    add_config(parser)
    parser.add_argument('checkpoint', help="checkpoint of the run, or its exported student's file")
    add_images(parser)


def add_images(parser: argparse.ArgumentParser) -> None:
    """The number of test images, and the device."""
    parser.add_argument('--max-images', type=int, help='test images, evenly spread; default: all')
    parser.add_argument('--device', help='default: the best there is')


def add_picture(parser: argparse.ArgumentParser, *names: str, required: bool = True) -> None:
    """The output file of a picture."""
    parser.add_argument(
        *(names or ('--out',)), type=png, required=required, metavar='FILE.png',
        help='the picture; its numbers go to FILE.json',
    )  # fmt: skip
    parser.add_argument('--show', action='store_true', help='open the picture as well')


def png(path: str) -> str:
    """A path that ends in .png."""
    if not path.endswith('.png'):
        raise argparse.ArgumentTypeError(f'expected a file *.png, got {path!r}')
    return path


def finish(picture: str, numbers: dict, show: bool = False) -> None:
    """Write the numbers beside a picture that has been drawn, say so, and open it if asked."""
    from PIL import Image

    from .analysis import save_numbers

    print(f'written: {picture}, {save_numbers(picture, numbers)}')
    if show:
        Image.open(picture).show()


def run_tool(main: Callable[[], None]) -> None:
    """Run a tool. A mistake of the user ends it with one sentence and status 1.

    ``HETKD_TRACEBACK=1`` shows the traceback as well. Of several processes the first speaks; another one
    waits for the launcher to end it, and speaks if that does not happen.
    """
    capture_warnings()
    try:
        main()
    except Exception as error:
        from .mistakes import mistake_of

        mistake = mistake_of(error)
        if mistake is None or os.environ.get('HETKD_TRACEBACK', '0') != '0':
            _tell_launcher(error)
            raise
        if int(os.environ.get('RANK', os.environ.get('SLURM_PROCID', 0))):
            time.sleep(3)
        _tell_launcher(UserError(str(mistake)))  # without its traceback
        sys.stdout.flush()
        sys.exit(f'{os.path.basename(sys.argv[0])}: error: {mistake}')
    _leave_together()


def _tell_launcher(error: Exception) -> None:
    """torchrun ends with the error of the process that failed first, if that has told it."""
    if 'TORCHELASTIC_ERROR_FILE' not in os.environ:
        return
    from torch.distributed.elastic.multiprocessing.errors import get_error_handler

    handler = get_error_handler()
    handler.initialize()
    handler.record_exception(error)


def _leave_together() -> None:
    """A process that is gone while another one still waits for it looks like a crash."""
    distributed = sys.modules.get('torch.distributed')
    if distributed is not None and distributed.is_available() and distributed.is_initialized():
        distributed.barrier()
        distributed.destroy_process_group()
