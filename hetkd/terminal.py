"""What the terminal shows of the log: the lines of hetkd and of your own code, and warnings that matter."""

import logging
import sys

LIBRARIES = ('mmengine', 'mmcv', 'mmpretrain')
SHOWN = ('mmengine.hooks.early_stopping_hook',)


class TerminalFilter(logging.Filter):
    """Keeps off the terminal what the libraries say; the log file of a run has it all.

    Left out are lines of mmengine, mmcv and mmpretrain below a warning, their notes on deprecated names, and
    Python's warnings (``warnings.warn``) of installed packages.
    """

    verbose = False
    """Whether everything is shown: the tools' ``--verbose``."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a record is shown, by the module that logs it."""
        module, path = _origin()
        package = module.partition('.')[0]
        if self.verbose or package == 'hetkd' or module in SHOWN:
            return True
        if record.name == 'py.warnings':
            return package not in LIBRARIES and '-packages' not in path
        return package not in LIBRARIES or (
            record.levelno >= logging.WARNING and 'deprecated' not in record.getMessage()
        )


def _origin() -> tuple[str, str]:
    """Name and file of the module that logs."""
    frame = sys._getframe()
    names = ('logging', 'warnings', 'mmengine.logging', __name__)
    while f'{frame.f_globals.get("__name__")}.'.startswith(tuple(f'{x}.' for x in names)) and frame.f_back:
        frame = frame.f_back
    return frame.f_globals.get('__name__', ''), frame.f_code.co_filename


def capture_warnings() -> None:
    """Python's warnings go through the filter to the terminal, and to the log file of a run."""
    logging.captureWarnings(True)
    shown = logging.StreamHandler()
    shown.addFilter(TerminalFilter())
    logging.getLogger('py.warnings').handlers = [shown]


def quieten(logger: logging.Logger) -> None:
    """Put the filter before a run's terminal, and Python's warnings into its log file."""
    for handler in logger.handlers:
        if isinstance(handler, logging.FileHandler):
            logging.getLogger('py.warnings').addHandler(handler)
        else:
            handler.addFilter(TerminalFilter())
