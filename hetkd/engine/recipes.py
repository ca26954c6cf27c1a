"""Check of the recipes of mmpretrain's SwitchRecipeHook before the first step."""

from mmpretrain.engine.hooks import SwitchRecipeHook

from hetkd.datasets.wrappers import inner_datasets
from hetkd.errors import UserError

from .plain_model import plain_model
from .steps import counts_iterations


def check_recipes(runner) -> None:
    """Compare each recipe with the run's data sets, model and length.

    Raises:
        UserError: data sets without a pipeline that could be switched, or a model without such a loss.
    """
    for hook in [x for x in runner.hooks if isinstance(x, SwitchRecipeHook)]:
        loop = runner.train_loop
        end = 1 if counts_iterations(loop) else loop.max_epochs
        for epoch, recipe in hook.schedule.items():
            if 'train_pipeline' in recipe:
                _check_pipelines(loop.dataloader.dataset)
            model = plain_model(runner)
            if 'loss' in recipe and not hasattr(getattr(model, 'head', model), 'loss_module'):
                raise UserError(
                    'SwitchRecipeHook',
                    'a model whose loss can be switched (loss_module)',
                    type(model).__name__,
                    'leave out loss',
                )
            if not 1 <= epoch <= end:
                runner.logger.warning(
                    f'SwitchRecipeHook: expected an action_epoch from 1 to {end}'
                    f'{", as a run of iterations is one epoch" if counts_iterations(loop) else ""}, got '
                    f'{epoch}: this recipe is never switched to'
                )


def _check_pipelines(dataset) -> None:
    fixed = {type(x).__name__ for x in inner_datasets(dataset) if not hasattr(x, 'pipeline')}
    if fixed:
        raise UserError(
            'SwitchRecipeHook',
            'data sets with a pipeline that it can switch',
            ', '.join(sorted(fixed)),
            'switch batch_augments alone, or take the data set that reads single images '
            '(configs/_base_/datasets/*_per_image.py)',
        )
