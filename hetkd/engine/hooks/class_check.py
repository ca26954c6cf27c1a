"""Find a data set that does not fit the nets before the first step."""

from mmengine.hooks import Hook
from mmpretrain.evaluation import Accuracy

from hetkd.engine.plain_model import plain_model
from hetkd.registry import HOOKS


@HOOKS.register_module()
class ClassCheckHook(Hook):
    """Compare the data's classes with what the nets, the preprocessor and the metrics count.

    Raises:
        ValueError: another number of classes, fewer than a metric's top k, or the teacher was trained on
            another order.
    """

    def before_train(self, runner) -> None:
        """Check once."""
        model = plain_model(runner)
        classes = getattr(runner.train_dataloader.dataset, 'metainfo', {}).get('classes')
        student = getattr(model, 'student', None)
        if classes is None or student is None:
            return
        if len(classes) != student.num_classes:
            raise ValueError(
                f'data: expected {student.num_classes} classes as the nets have, got {len(classes)} in '
                f'{type(runner.train_dataloader.dataset).__name__}; set data_preprocessor.num_classes='
                f'{len(classes)}, and num_classes of the nets that name one, or choose another data set'
            )
        mixed = getattr(model.data_preprocessor, 'num_classes', None)
        if mixed not in (None, len(classes)):
            raise ValueError(
                f'data_preprocessor: expected {len(classes)} classes as the data have, got {mixed}; set '
                f'data_preprocessor.num_classes={len(classes)}'
            )
        metrics = runner.val_evaluator.metrics if getattr(runner, 'val_loop', None) else []
        for metric in metrics:
            top = max(metric.topk) if isinstance(metric, Accuracy) else 0
            if top > len(classes):
                raise ValueError(
                    f'val_evaluator: expected a top-k of at most the {len(classes)} classes of the data, got '
                    f"top-{top}; set val_evaluator=[dict(type='Accuracy', topk=(1,))] and test_evaluator"
                )
        for teacher in getattr(model, 'teachers', ()):
            if teacher.classes is not None:
                _check_order(teacher.classes, classes)


def _check_order(recorded, classes) -> None:
    if list(recorded) == list(classes):
        return
    first = next((i for i, (a, b) in enumerate(zip(recorded, classes)) if a != b), None)
    detail = (
        f'{len(recorded)} classes'
        if first is None
        else f'class {first} is {recorded[first]!r}, the data has {classes[first]!r}'
    )
    raise ValueError(
        f'teacher: expected a net trained on the classes of the data in their order, got another '
        f'({detail}); use a teacher trained on this data set'
    )
