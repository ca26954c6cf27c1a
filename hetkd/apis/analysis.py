"""Shared code of the analysis tools: load a trained run, iterate over its test images."""

import json
from pathlib import Path
from typing import Callable, Iterator, NamedTuple, Optional, Sequence

import numpy as np
import torch
from mmengine.config import Config, ConfigDict
from mmengine.dataset import default_collate
from mmengine.device import get_device
from mmengine.logging import MMLogger
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from rich.progress import track
from torch.utils.data import DataLoader, Subset

from hetkd.datasets import check_labels, check_net, class_names
from hetkd.errors import UserError
from hetkd.models.distillers import FrozenTeacher, NetClassifier
from hetkd.models.distillers.configs import online_config, random_teacher
from hetkd.models.nets.base import RANDOM
from hetkd.models.nets.checkpoint import all_weights, load_checked
from hetkd.registry import MODELS
from hetkd.utils.spread import evenly_spread
from hetkd.utils.weight_file import read_file

from .student import load_student, student_config


def open_run(cfg: Config, checkpoint: str, device: Optional[str] = None) -> NetClassifier:
    """Load a run's model in eval mode, with the student's weights and the teachers of its config.

    Teachers are online nets in float32, even if the run used a cache or half precision. Connectors stay
    random, so an exported student is enough; see :func:`open_method`.

    Args:
        cfg: config of the run.
        checkpoint: checkpoint of the run, its exported student, or ``'random'`` for the student before
            training.
        device: default: the best available.
    """
    init_default_scope(cfg.get('default_scope', 'hetkd'))
    # Initialising a net logs each of its tensors.
    MMLogger.get_instance('analysis').setLevel('WARNING')
    torch.manual_seed(cfg.get('randomness', {}).get('seed') or 0)
    model = MODELS.build(_with_teachers(_unloaded(cfg), online_config))
    if checkpoint == RANDOM:
        model.student.init_weights()
    else:
        load_student(model, checkpoint)
    return model.to(device or get_device()).eval()


def random_config(cfg: Config) -> ConfigDict:
    """The model's config with random nets: no weight file is read."""
    return _with_teachers(_unloaded(cfg), random_teacher)


def _unloaded(cfg: Config) -> ConfigDict:
    """The model's config without the student's weight files."""
    config, plain = Config(dict(model=cfg.model)).model, student_config(cfg)
    config.student, config.data_preprocessor = plain.student, plain.get('data_preprocessor')
    return config


def _with_teachers(config: ConfigDict, change: Callable[[dict], dict]) -> ConfigDict:
    """The model's config with ``change`` applied to each teacher's config."""
    teachers = config.get('teacher')
    if isinstance(teachers, list):
        config.teacher = [change(x) for x in teachers]
    elif teachers is not None:
        config.teacher = change(teachers)
    return config


def open_student(cfg: Config, checkpoint: str, device: Optional[str] = None) -> NetClassifier:
    """Load the student alone; no teacher file is needed."""
    alone = Config(cfg.to_dict())
    alone.model = student_config(cfg)
    return open_run(alone, checkpoint, device)


def open_method(cfg: Config, checkpoint: str, method: type, tool: str, device: Optional[str] = None):
    """Load a run of one method with all its trained parts, connectors included.

    Raises:
        UserError: the run is of another method, or the file holds the student alone.
    """
    found = cfg.model.get('type')
    if str(found).split('.')[-1] != method.__name__:
        raise UserError(
            tool,
            f'a run of {method.__name__}',
            found,
            f'take a config of configs/{method.__name__.lower()}, or --method {method.__name__.lower()}',
        )
    model = open_run(cfg, checkpoint, device)
    state = all_weights(read_file(checkpoint), checkpoint).state_dict
    missing = sorted(set(model.state_dict()) - set(state))
    if missing:
        raise UserError(
            tool,
            'a checkpoint of the run with its connectors',
            f'{checkpoint} without {missing[0]} and {len(missing) - 1} more',
            'an exported student has none: take epoch_N.pth',
        )
    load_checked(model.load_state_dict, model, state, checkpoint)
    return model


def teacher_of(model: NetClassifier, tool: str, classifies: bool = True) -> FrozenTeacher:
    """The only teacher of a run.

    Args:
        classifies: whether the tool reads its logits.

    Raises:
        UserError: there is none, or more than one, or one without the class head that is needed.
    """
    teachers = getattr(model, 'teachers', ())
    if len(teachers) != 1:
        raise UserError(
            tool,
            'a run with one teacher',
            f'{len(teachers)} ({type(model).__name__})',
            'take the config of a distilled student, and of several teachers keep one',
        )
    if classifies and not teachers[0].num_classes:
        raise UserError(
            tool,
            'a teacher with a class head',
            'one without (num_classes=0)',
            'take vis_tsne or vis_cka, which compare features',
        )
    return teachers[0]


class Batch(NamedTuple):
    """A preprocessed batch with its labels and indices."""

    inputs: torch.Tensor
    """(N, 3, H, W), normalised for the student."""
    target: torch.Tensor
    """(N,) class indices."""
    index: list[int]
    """Indices in the data set."""


class Images:
    """Test images of a run, or an evenly spaced part of them, in batches with a progress bar.

    Args:
        cfg: config of the run.
        max_images: largest number of images; default: all.
        indices: indices in the data set, instead of ``max_images``.

    Attributes:
        dataset: the whole data set.
        classes: class names, or None if the data set has none.

    Raises:
        UserError: fewer than one image, an index outside the data set, or an image without a label.
    """

    def __init__(
        self, cfg: Config, max_images: Optional[int] = None, indices: Optional[Sequence[int]] = None
    ):
        if max_images is not None and max_images < 1:
            raise UserError('--max-images', 'at least 1', max_images)
        init_default_scope(cfg.get('default_scope', 'hetkd'))
        loader = Config(dict(loader=cfg.test_dataloader)).loader
        loader.update(collate_fn=dict(type='default_collate'), persistent_workers=False)
        full = Runner.build_dataloader(loader)
        self.dataset = full.dataset
        check_labels(self.dataset, 'test_dataloader')
        if indices is None:
            indices = evenly_spread(max_images or len(self.dataset), len(self.dataset))
        elif max(indices) >= len(self.dataset):
            raise UserError('images', f'indices below {len(self.dataset)}', max(indices))
        self._loader = DataLoader(
            Subset(self.dataset, indices),
            batch_size=loader.batch_size,
            num_workers=full.num_workers,
            collate_fn=default_collate,
            worker_init_fn=full.worker_init_fn,
        )
        self.classes = class_names(self.dataset)

    def batches(self, model: NetClassifier, description: str = 'images') -> Iterator[Batch]:
        """Iterate over the batches, preprocessed for a model.

        Raises:
            UserError: the model was trained on other classes, or in another order.
        """
        check_net(model.student, self.dataset, 'test_dataloader', 'the checkpoint')
        for batch in track(self._loader, description):
            data = model.data_preprocessor(batch, False)
            samples = data['data_samples']
            target = torch.cat([x.gt_label for x in samples]).to(data['inputs'].device)
            yield Batch(data['inputs'], target, [x.sample_idx for x in samples])

    def names(self, count: int) -> list[str]:
        """Names of the classes, or the numbers 0 to ``count`` - 1."""
        return self.classes or [str(i) for i in range(count)]


class Outputs(NamedTuple):
    """Logits of both nets on many images, on the CPU in float32."""

    student: torch.Tensor
    """(N, C)."""
    teacher: torch.Tensor
    """(N, C)."""
    target: torch.Tensor
    """(N,)."""
    index: list[int]
    """Indices in the data set."""


@torch.no_grad()
def both_logits(model: NetClassifier, teacher: FrozenTeacher, images: Images) -> Outputs:
    """Compute the logits of student and teacher on all images."""
    check_net(teacher, images.dataset, 'test_dataloader', 'the teacher')
    student, teachers, target, index = [], [], [], []
    for batch in images.batches(model, 'student and teacher'):
        student.append(model.student(batch.inputs).logits.float().cpu())
        teachers.append(teacher(batch.inputs).logits.float().cpu())
        target.append(batch.target.cpu())
        index += batch.index
    return Outputs(torch.cat(student), torch.cat(teachers), torch.cat(target), index)


def as_seen(
    model: NetClassifier, inputs: torch.Tensor, teacher: Optional[FrozenTeacher] = None
) -> np.ndarray:
    """Undo a net's normalisation: its input as images (N, H, W, 3) in [0, 1].

    Args:
        model: whose preprocessor made the inputs.
        inputs: (N, 3, H, W), normalised for the student.
        teacher: show this teacher's input, at its size; default: the student's.
    """
    pre = model.data_preprocessor
    mean, std = getattr(pre, 'mean', torch.zeros(1)), getattr(pre, 'std', torch.ones(1))
    if teacher is not None:
        inputs = teacher.prepare(inputs)
        spec = teacher.net.input_spec
        if spec.mean is not None:
            mean, std = (inputs.new_tensor(x) for x in (spec.mean, spec.std))
    mean, std = (x.to(inputs).view(-1, 1, 1) for x in (mean, std))
    return ((inputs * std + mean) / 255).clamp(0, 1).permute(0, 2, 3, 1).float().cpu().numpy()


def save_numbers(picture: str, numbers: dict) -> Path:
    """Write the numbers behind a picture as JSON beside it; tensors become lists.

    Raises:
        UserError: a name that would replace the record of a run.
    """
    path = Path(picture).with_suffix('.json')
    if path.name == 'results.json':
        raise UserError('--out', 'another name', picture, 'results.json beside it is the record of a run')
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(numbers, indent=1, default=lambda x: x.tolist()) + '\n')
    return path
