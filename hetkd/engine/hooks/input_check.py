"""Check of the images against the nets before the first step."""

import torch
from mmengine.dataset import ConcatDataset
from mmengine.hooks import Hook
from mmpretrain.datasets import CIFAR10

from hetkd.clock import read_clock
from hetkd.datasets import InMemory
from hetkd.engine.plain_model import plain_model
from hetkd.engine.recipes import check_recipes
from hetkd.errors import UserError
from hetkd.registry import HOOKS
from hetkd.seeding import seeded

# Numbers of an image up to here are no 0-255, unless it is black.
SMALL = 16


@HOOKS.register_module()
class InputCheckHook(Hook):
    """Compare the first training and the first validation image with what the nets take.

    The image goes through pipeline and data preprocessor, and the student is run on it once. Some that were
    built for another size take any: a warning names both. A teacher gets its own size.

    Raises:
        UserError: the nets take RGB and get BGR, or other channels; the student cannot be run on them; they
            are normalised before a teacher with a mean and std of its own sees them; a recipe cannot be
            switched to (:func:`~hetkd.engine.recipes.check_recipes`).
    """

    def before_train(self, runner) -> None:
        """Check once."""
        check_recipes(runner)
        model = plain_model(runner)
        if not hasattr(model, 'student'):
            return
        loaders = dict(train=runner.train_dataloader)
        if runner.val_loop is not None:
            loaders['val'] = runner.val_dataloader
        for name, loader in loaders.items():
            images = self._first_image(model, loader, name)
            self._check_channels(model, images, name)
            self._check_order(model, loader.dataset, name)
            # A sharded student is whole within a step only.
            if not any(type(x).__name__ == 'DTensor' for x in model.student.parameters()):
                self._check_size(runner, model.student, images, name)

    def _first_image(self, model, loader, name: str):
        with seeded(*(read_clock() or (0, 0))):  # draws nothing of the run's
            batch = loader.collate_fn([loader.dataset[0]])
            _check_normalisation(model.data_preprocessor, len(batch['inputs'][0]))
            _check_scale(getattr(model, 'teachers', ()), batch['inputs'][0], name)
            return model.data_preprocessor(batch, name == 'train')['inputs']

    def _check_channels(self, model, images, name: str) -> None:
        got, wanted = images.shape[1], model.student.input_spec.channels
        if got != wanted:
            raise UserError(
                f'{name}_dataloader',
                f'images of {wanted} channels as the nets take',
                f'{got} after the data preprocessor',
                'change color_type in the pipeline and the number of values of data_preprocessor.mean '
                'and std, or the nets: in_chans (TimmNet: model_kwargs), in_channels (MMPretrainNet: '
                'backbone)',
            )

    def _check_order(self, model, dataset, name: str) -> None:
        order = _order_of(dataset)
        swaps = getattr(model.data_preprocessor, 'to_rgb', None)
        if order is None or swaps is None or model.student.input_spec.channels != 3:
            return
        if swaps != (order == 'bgr'):
            raise UserError(
                'data_preprocessor',
                f'to_rgb={not swaps}, since the images of {name}_dataloader come as {order.upper()} and '
                'the nets take RGB',
                f'to_rgb={swaps}',
                f'set data_preprocessor.to_rgb={not swaps}',
            )

    def _check_size(self, runner, student, images, name: str) -> None:
        got, made_for = tuple(images.shape[2:]), student.input_spec.size
        sizes = f'{"x".join(map(str, got))} px'
        own = f'{"x".join(map(str, made_for or got))} px'
        try:
            student.probe(lambda _: student(images))
        except Exception as error:
            if own == sizes:
                raise UserError('student', f'a net that runs on images of {sizes}', error) from error
            raise UserError(
                'student',
                f'images of {own}, the size it was built for',
                f'{sizes} from {name}_dataloader',
                f'set student.input_size={got[0] if got[0] == got[1] else list(got)}, or the size in the '
                f'pipeline (or view) of {name}_dataloader to {made_for[0]} ({error})',
            ) from error
        if own == sizes:
            return
        runner.logger.warning(
            f'student: built for images of {own}, gets {sizes} from {name}_dataloader and takes them; set '
            f'student.input_size if this is not meant'
        )


def _check_normalisation(preprocessor, channels: int) -> None:
    for name in ('mean', 'std'):
        count = getattr(getattr(preprocessor, name, None), 'numel', lambda: 1)()
        if count not in (1, channels):
            raise UserError(
                f'data_preprocessor.{name}', f'{channels} numbers, one for each channel of the images', count
            )


def _check_scale(teachers, image, name: str) -> None:
    """A mean of 123 makes a picture of 0-1, or one that is normalised already, a nearly constant one."""
    if not torch.is_tensor(image) or not image.is_floating_point() or image.abs().max() > SMALL:
        return
    for teacher in teachers:
        spec = teacher.net.input_spec if getattr(teacher, 'renormalises', False) else None
        if spec is not None and max(*spec.mean, *spec.std) > SMALL:
            raise UserError(
                f'{name}_dataloader',
                f'images of 0-255, as the teacher has mean {list(spec.mean)} and std {list(spec.std)}',
                f'numbers from {image.min():.2f} to {image.max():.2f}',
                'leave scaling and normalisation to data_preprocessor.mean and std, and drop ToTensor and '
                'Normalize from the pipeline',
            )


def _order_of(dataset):
    """``'rgb'`` or ``'bgr'`` of a data set's images, or None where it is not known."""
    while not isinstance(dataset, InMemory) and hasattr(dataset, 'dataset'):
        dataset = dataset.dataset
    if isinstance(dataset, ConcatDataset):
        return _order_of(dataset.datasets[0])
    if isinstance(dataset, InMemory):
        return 'rgb'
    steps = getattr(getattr(dataset, 'pipeline', None), 'transforms', [])
    if any(type(step).__name__ in ('LoadImage', 'LoadImageFromFile') for step in steps):
        return 'bgr'
    return 'rgb' if isinstance(dataset, CIFAR10) else None
