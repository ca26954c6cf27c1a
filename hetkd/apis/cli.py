"""What the command-line tools share: flags, and the end of a run that a user's mistake stops.

It imports no torch, so that ``--help`` is there at once.
"""

import argparse
import os
import re
import select
import signal
import sys
import time
import traceback
from collections.abc import Sequence
from typing import Callable

from mmengine.config import Config, DictAction
from mmengine.logging import MMLogger

from hetkd.errors import UserError
from hetkd.terminal import TerminalFilter, capture_warnings, quieten
from hetkd.utils.launched import launched_rank

from .config import load_config

OPTIONS_HELP = (
    'override settings of the config, as key=value; a list as key="[a,b]" or key=a,b; nested as '
    'key="[(a,b),(c,d)]", with the quotation marks and without white space'
)

# White space within a text, not between the elements of a list.
BROKEN_TEXT = re.compile(r'[^\s,(\[]\s+[^\s,)\]]')

# A dict, alone or in a list. "{:04d}.pth" is none.
A_DICT = re.compile(r'(^|[\[(,])(\{.*\}|dict\(.*\))($|[\]),])')


class Options(DictAction):
    """mmengine's reader of key=value: numbers, true, false, None, text, and lists or tuples of them.

    Raises:
        UserError: another form.
    """

    def __call__(self, parser, namespace, values, option_string=None):
        """Read all values."""
        for text in values:
            key, separator, value = text.partition('=')
            if not (key and separator):
                raise UserError('--cfg-options', 'key=value, without white space', text)
            if A_DICT.search(value.strip('\'"').replace(' ', '')):
                raise UserError(
                    '--cfg-options', f'a number, a text or a list for {key}', f'a dict, {value}',
                    f'set each key of it: {key}.type=NAME {key}.KEY=VALUE; {key}._delete_=True beside them '
                    f'drops those that the config has. A list of dicts needs a config file',
                )  # fmt: skip
            if BROKEN_TEXT.search(value.strip('\'"')):
                raise UserError(
                    '--cfg-options', f'a value of {key} without white space', repr(value),
                    'it would be removed: set it in a config file',
                )  # fmt: skip
        try:
            super().__call__(parser, namespace, values, option_string)
        except AssertionError as error:
            raise UserError('--cfg-options', 'brackets in pairs', str(error)) from error


class Help(argparse.RawDescriptionHelpFormatter):
    """A description as it is written, and the default of each flag that has one."""

    def _get_help_string(self, action: argparse.Action) -> str:
        has_none = action.default in (None, False, argparse.SUPPRESS) or 'default' in action.help
        return action.help if has_none else f'{action.help} (default: %(default)s)'


def tool_parser(text: str) -> argparse.ArgumentParser:
    """The parser of a tool with this docstring."""
    return argparse.ArgumentParser(description=text, formatter_class=Help)


def file_of(*endings: str) -> Callable[[str], str]:
    """The type of a flag that names a file, whose ending says its kind."""

    def check(path: str) -> str:
        # argparse passes the default of an absent positional through here.
        if path != argparse.SUPPRESS and not path.endswith(endings):
            known = ' or '.join(f'*{x}' for x in endings)
            raise argparse.ArgumentTypeError(f'expected a file {known}, got {path!r}')
        return path

    return check


def add_out(
    parser: argparse.ArgumentParser,
    *endings: str,
    old: Sequence[str] = (),
    required: bool = True,
    text: str = 'file to write',
) -> None:
    """``--out FILE``.

    Args:
        parser: of the tool.
        *endings: of the file; none for a folder.
        old: other names that are accepted, those of mmpretrain's tools; ``'out'`` for the last positional.
        required: whether it must be given.
        text: what it is.
    """
    group = parser.add_mutually_exclusive_group(required=required)
    kind = dict(type=file_of(*endings), metavar='FILE') if endings else dict(metavar='FOLDER')
    group.add_argument(
        '--out', help=text + (f', {" or ".join(f"*{x}" for x in endings)}' if endings else ''), **kind
    )
    hidden = dict(kind, default=argparse.SUPPRESS, help=argparse.SUPPRESS)
    if 'out' in old:
        group.add_argument('out', nargs='?', **hidden)
    elif old:
        group.add_argument(*old, dest='out', **hidden)


def add_image(parser: argparse.ArgumentParser, text: str) -> None:
    """``--image``, also as the first positional, as mmpretrain's tools take it; see :func:`image_first`."""
    parser.add_argument('--image', help=text)
    parser.add_argument('last', nargs='?', help=argparse.SUPPRESS)


def image_first(parser: argparse.ArgumentParser, args: argparse.Namespace) -> argparse.Namespace:
    """The arguments in hetkd's order, CONFIG CHECKPOINT --image IMAGE, of mmpretrain's."""
    if args.last is not None and args.image is None:
        args.image, args.config, args.checkpoint = args.config, args.checkpoint, args.last
    elif args.last is not None or args.image is None:
        parser.error('expected CONFIG CHECKPOINT --image IMAGE')
    return args


def add_config(parser: argparse.ArgumentParser, text: str = 'config file of the run') -> None:
    """A config, the method to put on it, and overrides; read by :func:`config_of`."""
    parser.add_argument('config', help=text)
    parser.add_argument(
        '--method', metavar='NAME|FILE',
        help="method in place of the config's own: a name in configs/_base_/methods, or a file *.py of that "
        'form; "scratch" trains the student alone on its labels',
    )  # fmt: skip
    parser.add_argument('--cfg-options', nargs='+', action=Options, help=OPTIONS_HELP)
    parser.add_argument(
        '--verbose', action='store_true', help='show on the terminal all that goes to the log file'
    )


def config_of(args: argparse.Namespace) -> Config:
    """The config that :func:`add_config`'s arguments name."""
    TerminalFilter.verbose = args.verbose
    quieten(MMLogger.get_current_instance())  # of a tool without a runner
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


def add_picture(parser: argparse.ArgumentParser, *old: str, required: bool = True) -> None:
    """The output file of a picture, under ``--out`` and the old names."""
    text = 'the picture; its numbers go to FILE.json beside it'
    add_out(parser, '.png', old=old, required=required, text=text)
    parser.add_argument('--show', action='store_true', help='open the picture as well')
    parser.add_argument('--not-show', action='store_true', help=argparse.SUPPRESS)  # mmpretrain's


def finish(picture: str, numbers: dict, show: bool = False) -> None:
    """Write the numbers beside a picture that has been drawn, say so, and open it if asked."""
    from PIL import Image

    from .analysis import save_numbers

    print(f'written: {picture}, {save_numbers(picture, numbers)}')
    if show and sys.platform == 'linux' and not {'DISPLAY', 'WAYLAND_DISPLAY'} & set(os.environ):
        print('--show: there is no display')
    elif show:
        Image.open(picture).show()


def run_tool(main: Callable[[], None]) -> None:
    """Run a tool. A mistake of the user ends it with one sentence and status 1.

    ``HETKD_TRACEBACK=1`` shows the traceback as well, and so does an error of no known kind in hetkd or in
    a user's own code. Of several processes the first speaks; another one
    waits for the launcher to end it, and speaks if that does not happen.
    """
    capture_warnings()
    try:
        main()
        sys.stdout.flush()
    except Exception as error:
        if isinstance(error, BrokenPipeError) and _reader_has_left():
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(128 + signal.SIGPIPE)  # as a shell's own commands
        from .mistakes import UnknownMistake, is_in_own_code, mistake_of

        mistake = mistake_of(error)
        if mistake is None or os.environ.get('HETKD_TRACEBACK', '0') != '0':
            _tell_launcher(error)
            raise
        if launched_rank():
            time.sleep(20)
        if isinstance(mistake, UnknownMistake) and is_in_own_code(error):
            traceback.print_exception(error)
        _tell_launcher(UserError(str(mistake)))  # without its traceback
        sys.stdout.flush()
        sys.exit(f'{os.path.basename(sys.argv[0])}: error: {mistake}')
    _leave_together()


def _reader_has_left() -> bool:
    """Whether the output goes to a pipe whose reader, such as ``head``, has ended."""
    output = select.poll()
    output.register(sys.stdout, 0)
    return bool(output.poll(0))  # an error of the pipe alone


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
