"""What the terminal shows of a run's log."""

import logging
import types
import warnings

import pytest
from mmengine.logging import MMLogger

from hetkd.terminal import TerminalFilter, capture_warnings, quieten


@pytest.fixture
def logged(tmp_path, capfd, monkeypatch):
    """A function that runs code as a module of a name; returns what terminal and log file got."""
    logger = MMLogger('terminal', log_file=str(tmp_path / 'run.log'))
    show = warnings.showwarning
    logging.captureWarnings(False)
    capture_warnings()
    quieten(logger)

    def run(name, code, file='/home/me/mine.py'):
        module = types.ModuleType(name)
        exec(compile('import warnings\ndef say(logger):\n    ' + code, file, 'exec'), vars(module))
        with warnings.catch_warnings():
            warnings.simplefilter('always')
            warnings.showwarning = logging._showwarning
            module.say(logger)
        return ''.join(capfd.readouterr()), (tmp_path / 'run.log').read_text()

    yield run
    logging.captureWarnings(False)
    logging.getLogger('py.warnings').handlers = []
    warnings.showwarning = show


INFO, DEPRECATED = "logger.info('words')", "logger.warning('words are deprecated')"
PRINTED = "__import__('mmengine').print_log('words', logger)"
INSTALLED = '/lib/python3/site-packages/x/y.py'


@pytest.mark.parametrize(
    'name, code, file, is_shown',
    [
        ('my_hooks', INFO, '', True),
        ('my_hooks', PRINTED, '', True),
        ('hetkd.engine.hooks', INFO, INSTALLED, True),
        ('mmengine.runner.runner', INFO, '', False),
        ('mmengine.optim', PRINTED, '', False),
        ('mmpretrain.models', INFO, '', False),
        ('mmengine.hooks.early_stopping_hook', INFO, '', True),
        ('mmengine.runner.runner', "logger.warning('words')", '', True),
        ('mmengine.fileio', DEPRECATED, '', False),
        ('mmengine.fileio', "logger.error('words')", '', True),
        ('torch.nn', "warnings.warn('words')", INSTALLED, False),
        ('my_hooks', "warnings.warn('words')", '', True),
        ('hetkd.engine.changes', "warnings.warn('words')", INSTALLED, True),
    ],
)
def test_lines_of_hetkd_and_of_ones_own_are_shown_and_all_are_in_the_file(name, code, file, is_shown, logged):
    terminal, log = logged(name, code, file)
    assert ('words' in terminal, 'words' in log) == (is_shown, True)


def test_all_is_shown_when_asked_for(logged, monkeypatch):
    monkeypatch.setattr(TerminalFilter, 'verbose', True)
    assert 'words' in logged('mmengine.runner.runner', INFO)[0]
    assert 'words' in logged('torch.nn', "warnings.warn('words')", INSTALLED)[0]
