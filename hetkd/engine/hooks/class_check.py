"""Check of data sets against nets, before the first step."""

from mmengine.hooks import Hook
from mmpretrain.evaluation import Accuracy

from hetkd.datasets import asks_for_unlabelled, check_labels, check_names, class_names, unheld
from hetkd.engine.plain_model import plain_model
from hetkd.errors import UserError
from hetkd.registry import DATASETS, HOOKS

OTHERS = ('val_dataloader', 'test_dataloader')


@HOOKS.register_module()
class ClassCheckHook(Hook):
    """Compare classes and labels of the data sets with each other, the nets, preprocessor and metrics.

    Wrappers of data sets are looked through. A test set that cannot be built is left to ``tools/test.py``.
    The number of training images without a label is logged. They must be asked for: ``with_label=False`` of
    the data set.

    Raises:
        UserError: classes differ in number, name or order between training, validation and test set or a
            teacher; an image has several labels, or none by mistake; the method cannot use unlabelled images;
            fewer classes than a metric's top k.
    """

    def before_train(self, runner) -> None:
        """Check once."""
        model = plain_model(runner)
        student = getattr(model, 'student', None)
        if student is None:
            return
        known = {}
        for name, dataset in self._data_sets(runner).items():
            unlabelled = check_labels(dataset, name, name != 'val_dataloader', student.num_classes)
            if name == 'train_dataloader':
                self._check_unlabelled(runner, model, dataset, unlabelled)
            classes = class_names(dataset)
            if classes is not None:
                known[name] = classes
        first = next(iter(known), None)
        for name, classes in known.items():
            check_names(known[first], classes, name, first)
        if first and len(known[first]) != student.num_classes:
            raise UserError(
                'data',
                f'{student.num_classes} classes as the nets have',
                f'{len(known[first])} in {first}',
                f'set data_preprocessor.num_classes={len(known[first])}, and that of nets that name one, '
                'or choose another data set',
            )
        self._check_preprocessor(model.data_preprocessor, student.num_classes)
        self._check_metrics(runner, student.num_classes)
        teachers = getattr(model, 'teachers', ())
        for number, teacher in enumerate(teachers, 1):
            where = 'teacher' if len(teachers) == 1 else f'teacher {number} of {len(teachers)}'
            check_names(known.get(first), teacher.classes, where, first)

    @staticmethod
    def _check_unlabelled(runner, model, dataset, unlabelled: int) -> None:
        model.needs_labels = not asks_for_unlabelled(dataset)
        if not unlabelled:
            return
        runner.logger.info(f'train_dataloader: {unlabelled:,} of {len(dataset):,} images have no label')
        model.check_unlabelled(len(dataset) - unlabelled)
        if not getattr(model.data_preprocessor, 'takes_unlabelled', False):
            raise UserError(
                'data_preprocessor',
                'SeededPreprocessor or BatchViewPreprocessor, since images have no label',
                f'{type(model.data_preprocessor).__name__}, which looks at the first image of a batch alone',
                'leave data_preprocessor.type out',
            )

    @staticmethod
    def _data_sets(runner) -> dict:
        found = dict(train_dataloader=runner.train_dataloader.dataset)
        if runner.val_loop is not None:
            found['val_dataloader'] = runner.val_dataloader.dataset
        val, test = (runner.cfg.get(name) and runner.cfg[name].dataset for name in OTHERS)
        if test and test != val:
            try:
                found['test_dataloader'] = DATASETS.build(unheld(test))
            except (OSError, RuntimeError, AssertionError) as error:
                runner.logger.warning(f'test_dataloader: its classes are not compared, since {error}')
        return found

    @staticmethod
    def _check_preprocessor(preprocessor, classes: int) -> None:
        mixed = getattr(preprocessor, 'num_classes', None)
        if mixed not in (None, classes):
            raise UserError(
                'data_preprocessor',
                f'{classes} classes as the nets have',
                mixed,
                f'set data_preprocessor.num_classes={classes}',
            )

    @staticmethod
    def _check_metrics(runner, classes: int) -> None:
        metrics = runner.val_evaluator.metrics if runner.val_loop is not None else []
        for metric in metrics:
            top = max(metric.topk) if isinstance(metric, Accuracy) else 0
            if top > classes:
                raise UserError(
                    'val_evaluator',
                    f'a top-k of at most the {classes} classes of the nets',
                    f'top-{top}',
                    "set val_evaluator=[dict(type='Accuracy', topk=(1,))] and test_evaluator",
                )
