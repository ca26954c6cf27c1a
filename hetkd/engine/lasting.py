"""Mixin of runners: safe resume, atomic checkpoints, readable failures."""

import copy
import logging
import os
import os.path as osp
import signal
import zipfile
import zlib
from contextlib import nullcontext
from pathlib import Path
from typing import Optional

from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.runner import EpochBasedTrainLoop, Runner

from hetkd.clock import own_clock
from hetkd.errors import UserError
from hetkd.utils.whole_file import write_whole

from .absent_data import absence_explained
from .batches import check_ends, check_whole, epoch_length, tell_draws
from .changes import Rates
from .data_workers import end_workers, shield
from .hooks.portable_checkpoint import PortableCheckpointHook
from .hooks.resume import ResumeHook
from .hooks.summary import SummaryHook
from .message_hub import DeferredMessageHub
from .plain_model import plain_model
from .schedules import check_built, check_configs, schedule_problems
from .start_from import start_from
from .steps import check_clipping, check_paramwise, check_saving, counts_iterations, loop_config
from .work_dir import CHECKPOINTS, claimed

STEPS = ('before_train_iter', 'after_train_iter')

# Those that mmengine knows how to leave out.
MMENGINE_HOOKS = ('runtime_info', 'timer', 'sampler_seed', 'logger', 'param_scheduler', 'checkpoint')


class LastingRun:
    """A mixin of mmengine's runners.

    - ``--resume`` finds the latest whole checkpoint.
    - No step waits for the device to log a value: see :class:`~hetkd.engine.message_hub.DeferredMessageHub`.
    - A data set that is absent, and a data worker that died, end with a message that says what to do.
    """

    _acting: tuple[dict, list] = {}, []

    @staticmethod
    def build_dataloader(dataloader, *args, **kwargs):
        """mmengine's, with a clear end where the files are missing."""
        with absence_explained(dataloader):
            loader = Runner.build_dataloader(dataloader, *args, **kwargs)
        return shield(tell_draws(loader))

    def train(self):
        """mmengine's, in a work dir that is this run's alone.

        Leaves clock and signals as they were.
        """
        resumes = bool(self._resume) or 'resume_options' in self.cfg
        with own_clock():
            try:
                with claimed(self.work_dir, resumes), self._claimed_out_dir():
                    self._dump_config()
                    return super().train()
            except RuntimeError as error:
                if 'DataLoader worker (pid' in str(error):
                    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # torch raises for each worker that ends
                raise
            finally:
                self.call_hook('release')
                self._end_workers()

    def _claimed_out_dir(self):
        """The folder of the checkpoints, if it is another: mmengine names it by the work dir's last part."""
        hooks = (self.cfg.get('default_hooks') or {}).get('checkpoint') or {}
        folder = hooks.get('out_dir') and osp.join(hooks.out_dir, osp.basename(osp.normpath(self.work_dir)))
        if not folder or '://' in folder or osp.abspath(folder) == osp.abspath(self.work_dir):
            return nullcontext()
        os.makedirs(folder, exist_ok=True)
        begun = osp.exists(osp.join(self.work_dir, 'last_checkpoint'))  # else what is there is another run's
        return claimed(folder, begun, 'default_hooks.checkpoint.out_dir')

    def test(self):
        """mmengine's."""
        try:
            return super().test()
        finally:
            self._end_workers()

    def _end_workers(self) -> None:
        for loop in (self._train_loop, self._val_loop, self._test_loop):
            end_workers(getattr(loop, 'dataloader', None))

    def dump_config(self) -> None:
        """Not yet: the work dir may be another run's; see :meth:`train`."""

    def _dump_config(self) -> None:
        """mmengine's, as the config was before ``--resume``: whoever trains it again says so again."""
        whole = self.cfg
        if 'resume_options' in whole:
            self.cfg = copy.deepcopy(whole)
            self.cfg.update(resume=False, load_from=self.cfg.pop('resume_options').get('load_from'))
        try:
            super().dump_config()
        finally:
            self.cfg = whole

    def register_default_hooks(self, hooks=None) -> None:
        """mmengine's; None leaves out any hook of the config. Those that save and log count as the loop."""
        hooks = {key: x for key, x in (hooks or {}).items() if x is not None or key in MMENGINE_HOOKS}
        iterations = counts_iterations(self._train_loop or {})
        if isinstance(hooks.get('checkpoint'), dict):
            hooks['checkpoint'] = check_saving(hooks['checkpoint'], iterations)
        if isinstance(hooks.get('logger'), dict):
            hooks['logger'] = {'log_metric_by_epoch': not iterations, **hooks['logger']}
        super().register_default_hooks(hooks)

    def register_hooks(self, default_hooks=None, custom_hooks=None) -> None:
        """mmengine's, and after them the hooks that no run is resumed without."""
        super().register_hooks(default_hooks, custom_hooks)
        if not all(getattr(x, 'evaluate_on_ema', True) for x in self.hooks):
            raise UserError(
                'EMAHook.evaluate_on_ema',
                'True, since a checkpoint holds the average and is tested by it',
                'False',
                'drop it; evaluate_on_origin=True validates the trained weights as well',
            )
        self.register_hook(SummaryHook())
        self.register_hook(PortableCheckpointHook())
        self._resume_hook = ResumeHook()
        self.register_hook(self._resume_hook)

    def build_log_processor(self, log_processor):
        """mmengine's, in the loop's unit."""
        if isinstance(log_processor, dict):
            log_processor = {'by_epoch': not counts_iterations(self._train_loop or {}), **log_processor}
        return super().build_log_processor(log_processor)

    def build_train_loop(self, loop):
        """mmengine's; one that makes no step, or whose epoch never ends, is refused."""
        config = loop_config(loop) if isinstance(loop, dict) else {}
        loop = super().build_train_loop(config or loop)
        epoch_length(loop.dataloader)
        if isinstance(loop, EpochBasedTrainLoop) and 'max_iters' not in config:  # a preflight may have it
            check_ends(loop.dataloader, 'train_dataloader')
        return loop

    def build_val_loop(self, loop):
        """mmengine's; one that leaves images out, or never ends, is refused."""
        loop = super().build_val_loop(loop)
        check_whole(loop.dataloader, 'val_dataloader')
        return loop

    def build_test_loop(self, loop):
        """As :meth:`build_val_loop`."""
        loop = super().build_test_loop(loop)
        check_whole(loop.dataloader, 'test_dataloader')
        return loop

    def build_evaluator(self, evaluator):
        """mmengine's; the model predicts its embedding where a metric reads it (``needs_embedding``)."""
        evaluator = super().build_evaluator(evaluator)
        if any(getattr(x, 'needs_embedding', False) for x in evaluator.metrics):
            tested = plain_model(self)
            model = getattr(tested, 'module', tested)  # of test-time augmentation
            if model is not tested and not getattr(tested, 'averages_embedding', False):
                raise UserError(
                    'tta_model', 'AverageViews, since a metric reads the embedding', type(tested).__name__,
                    'leave out tta_model, or derive yours from AverageViews',
                )  # fmt: skip
            _ = model.student.embedding_channels  # probes once, before the net is compiled
            model.predicts_embedding = True
        return evaluator

    def build_param_scheduler(self, scheduler):
        """mmengine's; schedules that do not fit the run are named, and refused where the rate is another."""
        check_configs(scheduler)
        built = super().build_param_scheduler(scheduler)
        loop = self.train_loop
        max_epochs = None if counts_iterations(loop) else loop.max_epochs
        problems = []
        for one in built.values() if isinstance(built, dict) else [built]:
            check_built(one, max_epochs, loop.max_iters)
            problems += schedule_problems(one, max_epochs, loop.max_iters)
        if problems:
            self.logger.warning(
                f'param_scheduler: expected schedules that fall to the end of the run, got: '
                f'{"; ".join(problems)}. Fit param_scheduler to train_cfg, or ignore this if it is meant so'
            )
        return built

    def call_hook(self, fn_name: str, **kwargs) -> None:
        """mmengine's; at each step only hooks that do something there."""
        if fn_name not in STEPS:
            super().call_hook(fn_name, **kwargs)
            return
        if self._acting[1] != self._hooks:
            acting = {name: [x for x in self._hooks if _acts(x, name)] for name in STEPS}
            self._acting = acting, list(self._hooks)
        for hook in self._acting[0][fn_name]:
            getattr(hook, fn_name)(self, **kwargs)

    def build_message_hub(self, message_hub=None) -> DeferredMessageHub:
        """The run's :class:`DeferredMessageHub`."""
        message_hub = dict(message_hub or {})
        return DeferredMessageHub.get_instance(message_hub.pop('name', self.experiment_name), **message_hub)

    def build_optim_wrapper(self, optim_wrapper, *args, **kwargs):
        """mmengine's; the norm of clipped gradients is logged as it is."""
        if isinstance(optim_wrapper, dict):
            check_clipping(optim_wrapper.get('clip_grad'))
            names = [name for name, x in plain_model(self).named_parameters() if x.requires_grad]
            check_paramwise(optim_wrapper, names)
        wrapper = super().build_optim_wrapper(optim_wrapper, *args, **kwargs)
        if getattr(wrapper, 'clip_grad_kwargs', None):
            wrapper.clip_func = _Noted(wrapper.clip_func, wrapper.message_hub, f'train/{wrapper.grad_name}')
        return wrapper

    def load_or_resume(self) -> None:
        """mmengine's; ``resume=True`` without a name finds the latest whole checkpoint.

        Settings that have changed are compared and applied by :class:`~hetkd.engine.hooks.resume.ResumeHook`.
        """
        if self._resume and self._load_from is None and not self._has_loaded:
            self._load_from = latest_checkpoint(self.work_dir)
            self._resume = self._load_from is not None
            self.logger.info(f'resume: {self._load_from or "no checkpoint yet, from the beginning"}')
        if not self._resume or self._has_loaded:
            super().load_or_resume()
            return
        if osp.isfile(self._load_from) and not is_whole(self._load_from):
            raise UserError(
                '--resume',
                f'{self._load_from} to be a whole checkpoint',
                'a damaged one',
                'name another, or leave out the name to take the latest whole one',
            )
        fresh = Rates(self)
        super().load_or_resume()
        self._resume_hook.apply(self, fresh)
        self.logger.info(f'resumed {self._load_from}: epoch {self.epoch}, iteration {self.iter}')

    def load_checkpoint(self, filename: str, map_location='cpu', strict: bool = True, **kwargs):
        """mmengine's for a run that resumes; for ``load_from`` see :func:`start_from`. Strict by default."""
        if self._resume or not strict or kwargs:
            return super().load_checkpoint(filename, map_location, strict, **kwargs)
        return start_from(self, filename)

    def fill_model(self, state_dict: dict) -> None:
        """Load a whole state dict of the model, strictly."""
        plain_model(self).load_state_dict(state_dict)

    @master_only
    def mark_latest(self, filename: str) -> None:
        """Name the checkpoint of the work dir that ``--resume`` takes."""
        write_whole(osp.join(self.work_dir, 'last_checkpoint'), filename)


def _acts(hook: Hook, name: str) -> bool:
    """Whether a hook does something at a step: its own method, or the one that mmengine's default calls."""
    own, general = getattr(hook, name), f'_{name.replace("_train", "")}'
    return getattr(own, '__func__', own) is not getattr(Hook, name) or getattr(
        getattr(hook, general), '__func__', None
    ) is not getattr(Hook, general)


class _Noted:
    """A clipping function whose norm goes to the log without mmengine's ``float()``."""

    def __init__(self, clip, hub: DeferredMessageHub, key: str):
        self.clip, self.hub, self.key = clip, hub, key

    def __call__(self, parameters, **kwargs) -> None:
        norm = self.clip(parameters, **kwargs)
        if norm is not None:
            self.hub.update_scalar(self.key, norm)


def latest_checkpoint(work_dir: str) -> Optional[str]:
    """The whole checkpoint of a work dir that was written last, or None where there is none at all.

    Its name stands in ``last_checkpoint``, with a folder where ``out_dir`` names another. A kill may leave
    that note empty, or of a file that is gone; then the files decide. A damaged one is passed over.

    Raises:
        UserError: there are checkpoints, and all are damaged; or the last one's folder is not there.
    """
    folder = Path(work_dir)
    note = folder / 'last_checkpoint'
    named = note.read_text().strip() if note.exists() else ''
    found = _newest_first(folder)
    if named:
        elsewhere = osp.dirname(named) not in ('', str(folder), osp.abspath(folder))
        if elsewhere and not any(x.is_file() for x in (Path(named), folder / Path(named).name)):
            raise UserError(
                '--resume',
                f'{named}, the last checkpoint of {work_dir}',
                'no such file here',
                f'bring back its folder; or delete {note} to begin from what is in {work_dir}',
            )
        found = [folder / Path(named).name, Path(named), *found]
    if osp.isabs(named):
        found += _newest_first(Path(named).parent)
    found = list(dict.fromkeys(x for x in found if x.is_file()))
    for path in found:
        if is_whole(path):
            return str(path)
        print_log(
            f'resume: expected {path} to be a whole checkpoint, got a damaged one; continuing with the one '
            f'before',
            'current',
            logging.WARNING,
        )
    if found:
        raise UserError(
            '--resume',
            f'a whole checkpoint in {work_dir}',
            f'damaged ones alone: {[x.name for x in found]}',
            'delete them to begin from the beginning',
        )
    return None


def _newest_first(folder: Path) -> list[Path]:
    found = [x for name in CHECKPOINTS for x in folder.glob(name)]
    return sorted(found, key=lambda x: x.stat().st_mtime, reverse=True)


def is_whole(path) -> bool:
    """Whether a checkpoint has all its bytes: torch itself does not look at the checksums."""
    try:
        with zipfile.ZipFile(path) as file:
            return file.testzip() is None and any(x.endswith('data.pkl') for x in file.namelist())
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, ValueError, zlib.error):
        return False
