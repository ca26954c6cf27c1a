"""The views of a teacher cache, once more."""

import json

from mmengine.dist import get_world_size
from mmengine.hooks import Hook

from hetkd.clock import set_clock
from hetkd.datasets.digest import data_digest
from hetkd.engine.plain_model import plain_model
from hetkd.registry import HOOKS

# Where the data lie and how they are fetched is no part of what they are.
PLACES = ('data_root', 'download', 'lazy_init', 'serialize_data')


@HOOKS.register_module()
class ReplayHook(Hook):
    """With a ``CachedTeacher``, have epoch e show the images in view e mod V of the cache.

    Crops, flips and the like come from the cache's seed and the view. Where images are mixed, the order of
    the images repeats as well, so that each has the same partner. Other random numbers (initial weights,
    dropout) stay those of the run.

    Raises:
        ValueError: the cache is of other data, of another pipeline, or of other batches of mixed images.
    """

    priority = 'BELOW_NORMAL'  # after those that set the epoch

    def before_run(self, runner) -> None:
        """Compare the caches with the run."""
        teachers = _cached(runner)
        if not teachers or runner.train_loop is None:
            return
        loader = runner.train_loop.dataloader
        facts = run_facts(runner.cfg, loader.dataset, loader.batch_size, get_world_size())
        if len({(x.views, x.cache.header['seed']) for x in teachers}) > 1:
            raise ValueError(
                'teacher cache: expected the same views and seed of all teachers, got different ones; write '
                'them anew with one --views and seed'
            )
        for teacher in teachers:
            teacher.check_run(facts)
        if runner.val_loop is not None:
            known = validation_facts(runner.cfg, runner.val_loop.dataloader.dataset)
            for teacher in teachers:
                if not teacher.knows_validation(known):
                    runner.logger.warning(
                        'teacher cache: its validation images are not those of this run, so it is not '
                        'measured; write it anew with tools/cache_teacher.py to have it measured'
                    )

    def before_train_epoch(self, runner) -> None:
        """Set the view of this epoch."""
        self.before_pass(runner, runner.epoch)

    def before_pass(self, runner, epoch: int) -> None:
        """The same for an iteration-based run; see :func:`~hetkd.engine.batches.endless`."""
        for teacher in _cached(runner):
            teacher.view = epoch % teacher.views
            loader, model = runner.train_loop.dataloader, plain_model(runner)
            show_view(loader, model.data_preprocessor, teacher.cache.header, teacher.view)


def show_view(loader, preprocessor, header: dict, view: int) -> None:
    """Have a data loader and a preprocessor give one view of the images."""
    set_clock(header['seed'], view)
    if header['mixing']:
        if not getattr(preprocessor, 'mixes_by_epoch', False):
            raise ValueError(
                f'teacher cache: expected a preprocessor that mixes by the epoch, got '
                f'{type(preprocessor).__name__}; use SeededPreprocessor'
            )
        loader.sampler.seed = header['seed']
        loader.sampler.set_epoch(view)


def run_facts(cfg, dataset, batch_size: int, processes: int) -> dict:
    """What a run's views depend on, beside the seed: data, pipeline, and the batches if they are mixed."""
    data = _without_places(cfg.train_dataloader.dataset.to_dict())
    text = json.dumps([data, _preprocessor(cfg), _mixing(cfg)], sort_keys=True, default=str)
    batches = dict(batch_size=batch_size, processes=processes) if mixes(cfg) else None
    return dict(data=data_digest(dataset), pipeline=text, mixing=batches)


def validation_facts(cfg, dataset) -> dict:
    """The same of the validation images."""
    data = _without_places(cfg.val_dataloader.dataset.to_dict())
    text = json.dumps([data, _preprocessor(cfg)], sort_keys=True, default=str)
    return dict(data_digest(dataset), pipeline=text)


def mixes(cfg) -> bool:
    """Whether mixup, cutmix or the like join the images of a batch."""
    return any(_mixing(cfg))


def _mixing(cfg) -> list:
    return [cfg.model.get('train_cfg'), _preprocessor(cfg).get('batch_augments')]


def _preprocessor(cfg) -> dict:
    return {**(cfg.get('data_preprocessor') or {}), **(cfg.model.get('data_preprocessor') or {})}


def _without_places(config: dict) -> dict:
    kept = {key: value for key, value in config.items() if key not in PLACES}
    if isinstance(kept.get('dataset'), dict):
        kept['dataset'] = _without_places(kept['dataset'])
    return kept


def _cached(runner) -> list:
    return [x for x in getattr(plain_model(runner), 'teachers', ()) if x.views]
