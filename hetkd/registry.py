"""hetkd's registries: children of mmpretrain's, so that a plain ``type='ResNet'`` resolves as well.

A registry looks in itself, then in its parents. Python modules are only imported from ``locations``, and
only the asked registry imports its own, so each one lists mmpretrain's location beside its own.
"""

from typing import Optional

from mmengine.config.utils import MODULE2PACKAGE
from mmengine.registry import Registry
from mmpretrain import registry as parents

from hetkd.arguments import checked

SCOPE = 'hetkd'
# mmengine resolves 'NAME::...' in configs and in its hub for the packages of this table only.
MODULE2PACKAGE.setdefault(SCOPE, SCOPE)


class CheckedRegistry(Registry):
    """A registry whose classes check the arguments that they annotate; see :mod:`hetkd.arguments`."""

    def class_of(self, config: dict) -> Optional[type]:
        """The class that a config has as ``type``, by its name or itself; None where it is no class."""
        kind = config.get('type')
        kind = self.get(kind) if isinstance(kind, str) else kind
        return kind if isinstance(kind, type) else None

    def _register_module(self, module, module_name=None, force=False) -> None:
        super()._register_module(checked(module), module_name, force)


def _child(name: str, parent: Registry, *locations: str) -> Registry:
    return CheckedRegistry(name, parent=parent, scope=SCOPE, locations=list(locations))


RUNNERS = _child('runner', parents.RUNNERS, 'mmpretrain.engine', 'hetkd.engine')
RUNNER_CONSTRUCTORS = _child('runner constructor', parents.RUNNER_CONSTRUCTORS, 'mmpretrain.engine')
LOOPS = _child('loop', parents.LOOPS, 'mmpretrain.engine', 'hetkd.engine')
HOOKS = _child('hook', parents.HOOKS, 'mmpretrain.engine', 'hetkd.engine', 'hetkd.teacher_cache')
LOG_PROCESSORS = _child('log processor', parents.LOG_PROCESSORS, 'mmpretrain.engine')
OPTIMIZERS = _child('optimizer', parents.OPTIMIZERS, 'mmpretrain.engine')
OPTIM_WRAPPERS = _child('optimizer_wrapper', parents.OPTIM_WRAPPERS, 'mmpretrain.engine', 'hetkd.engine')
OPTIM_WRAPPER_CONSTRUCTORS = _child(
    'optimizer wrapper constructor', parents.OPTIM_WRAPPER_CONSTRUCTORS, 'mmpretrain.engine', 'hetkd.engine'
)
PARAM_SCHEDULERS = _child(
    'parameter scheduler', parents.PARAM_SCHEDULERS, 'mmpretrain.engine', 'hetkd.engine'
)
DATASETS = _child('dataset', parents.DATASETS, 'mmpretrain.datasets', 'hetkd.datasets')
DATA_SAMPLERS = _child('data sampler', parents.DATA_SAMPLERS, 'mmpretrain.datasets', 'hetkd.datasets')
TRANSFORMS = _child('transform', parents.TRANSFORMS, 'mmpretrain.datasets', 'hetkd.datasets')
MODELS = _child('model', parents.MODELS, 'mmpretrain.models', 'hetkd.models', 'hetkd.teacher_cache')
MODEL_WRAPPERS = _child('model_wrapper', parents.MODEL_WRAPPERS, 'mmpretrain.models')
WEIGHT_INITIALIZERS = _child('weight initializer', parents.WEIGHT_INITIALIZERS, 'mmpretrain.models')
BATCH_AUGMENTS = _child('batch augment', parents.BATCH_AUGMENTS, 'mmpretrain.models', 'hetkd.models')
TASK_UTILS = _child('task util', parents.TASK_UTILS, 'mmpretrain.models')
METRICS = _child('metric', parents.METRICS, 'mmpretrain.evaluation', 'hetkd.evaluation')
EVALUATORS = _child('evaluator', parents.EVALUATORS, 'mmpretrain.evaluation')
VISUALIZERS = _child('visualizer', parents.VISUALIZERS, 'mmpretrain.visualization')
VISBACKENDS = _child('vis_backend', parents.VISBACKENDS, 'mmpretrain.visualization')
