"""Replay of a teacher cache's views during training."""

from mmengine.dist import get_world_size
from mmengine.hooks import Hook
from mmpretrain.engine.hooks import SwitchRecipeHook

from hetkd.clock import set_views
from hetkd.engine.plain_model import plain_model
from hetkd.errors import UserError
from hetkd.registry import HOOKS

from .facts import check_draws, run_facts, validation_facts


@HOOKS.register_module()
class ReplayHook(Hook):
    """With a ``CachedTeacher``, have epoch e show the images in view e mod V of the cache.

    Crops, flips and the like come from the cache's seed and the view. Where images are mixed, the order of
    the images repeats as well, so that each has the same partner. Other random numbers (initial weights,
    dropout) stay those of the run.

    Raises:
        UserError: the cache is of other data, of another pipeline, or of other batches of mixed images; or
            an epoch takes an image several times.
    """

    priority = 'BELOW_NORMAL'  # after those that set the epoch

    def before_run(self, runner) -> None:
        """Compare the caches with the run."""
        teachers = _cached(runner)
        if not teachers or runner.train_loop is None:
            return
        _check_recipe(runner)
        loader = runner.train_loop.dataloader
        check_draws(runner.cfg, loader.dataset, get_world_size())
        facts = run_facts(runner.cfg, loader.dataset, loader.batch_size, get_world_size())
        if len({(x.views, x.cache.header['seed']) for x in teachers}) > 1:
            raise UserError(
                'teacher cache',
                'the same views and seed of all teachers',
                'different ones',
                'write them again with one --views and seed',
            )
        for teacher in teachers:
            teacher.check_run(facts)
        if runner.val_loop is not None:
            known = validation_facts(runner.cfg, runner.val_loop.dataloader.dataset)
            for teacher in teachers:
                if not teacher.knows_validation(known):
                    runner.logger.warning(
                        'teacher cache: its validation images are not those of this run, so it is not '
                        'measured; write it again with tools/cache_teacher.py to have it measured'
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


def _check_recipe(runner) -> None:
    for hook in runner.hooks:
        recipes = hook.schedule.values() if isinstance(hook, SwitchRecipeHook) else ()
        if any({'train_pipeline', 'batch_augments'} & set(x) for x in recipes):
            raise UserError(
                'teacher cache',
                'one pipeline and one mixing for the whole run, as its views have',
                'a SwitchRecipeHook that changes them',
                'take the hook or the cache away',
            )


def show_view(loader, preprocessor, header: dict, view: int) -> None:
    """Have a data loader and a preprocessor give one view of the images."""
    set_views(header['seed'], view)
    if header['mixing']:
        if not getattr(preprocessor, 'mixes_by_epoch', False):
            raise UserError(
                'teacher cache',
                'a preprocessor that mixes by the epoch',
                type(preprocessor).__name__,
                'use SeededPreprocessor',
            )
        loader.sampler.seed = header['seed']
        loader.sampler.set_epoch(view)


def _cached(runner) -> list:
    return [x for x in getattr(plain_model(runner), 'teachers', ()) if x.views]
