"""Export of the student to ONNX and torch.export, and its check and latency."""

import statistics
import time
from typing import Callable

import torch
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.registry import DefaultScope
from torch import nn

from hetkd.errors import UserError
from hetkd.models.distillers.configs import random_net, with_classes
from hetkd.registry import DATASETS, MODELS, SCOPE, TRANSFORMS

from .student import file_config, image_by_image, load_student, reads_files, student_config

INPUT, OUTPUT = 'images', 'logits'
# torch.export treats a batch size of 0 or 1 as a constant.
EXAMPLES = 2


class Deployed(nn.Module):
    """A net with its normalisation: images (N, 3, H, W) uint8 RGB to logits (N, C) float32.

    Normalisation is part of the net and the input is uint8, so images can be neither normalised in another
    way nor scaled to 0-1 by mistake.

    Args:
        net: the net.
        preprocessor: the data preprocessor, for its mean and standard deviation.
        is_rgb: whether the net was trained on RGB.
    """

    def __init__(self, net: nn.Module, preprocessor: nn.Module, is_rgb: bool):
        super().__init__()
        self.net, self.is_rgb = net, is_rgb
        self.register_buffer('mean', getattr(preprocessor, 'mean', torch.zeros(3, 1, 1)), persistent=False)
        self.register_buffer('std', getattr(preprocessor, 'std', torch.ones(3, 1, 1)), persistent=False)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        images = images.float()
        images = images if self.is_rgb else images.flip(1)
        return self.net((images - self.mean) / self.std).logits


def build_deployed(cfg: Config, checkpoint: str) -> tuple[Deployed, nn.Module]:
    """The student of a checkpoint as :class:`Deployed`, and as the classifier that the run tests."""
    with DefaultScope.overwrite_default_scope(SCOPE):
        classifier = MODELS.build(student_config(image_by_image(cfg))).eval()
    load_student(classifier, checkpoint)
    return _deployed(cfg, classifier.student, classifier), classifier


def build_teacher(cfg: Config, classifier: nn.Module) -> Deployed | None:
    """The first teacher with random weights, for its cost; None for a run without one that classifies."""
    teacher = cfg.model.get('teacher')
    if teacher is None:
        return None
    with DefaultScope.overwrite_default_scope(SCOPE):
        net = random_net(teacher if isinstance(teacher, dict) else teacher[0])
        net = MODELS.build(with_classes(net, classifier.data_preprocessor))
    return _deployed(cfg, net, classifier) if net.num_classes else None


def _deployed(cfg: Config, net: nn.Module, classifier: nn.Module) -> Deployed:
    is_rgb = file_config(cfg).data_preprocessor.get('to_rgb', False)
    return Deployed(net, classifier.data_preprocessor, is_rgb).eval()


@torch.no_grad()
def check_images(cfg: Config, classifier: nn.Module, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Test images (N, 3, H, W) uint8 RGB, and their logits computed as in ``tools/test.py``."""
    with DefaultScope.overwrite_default_scope(SCOPE):
        dataset = DATASETS.build(cfg.test_dataloader.dataset)
        one_by_one = image_by_image(cfg)
        pipeline = Compose([TRANSFORMS.build(x) for x in one_by_one.test_dataloader.dataset.pipeline])

    def prepared(i: int) -> torch.Tensor:
        image = dataset[i]['inputs']
        if one_by_one is cfg:
            return image
        return pipeline(dict(img=image.permute(1, 2, 0).numpy()))['inputs']  # InMemory's, RGB

    step = max(1, len(dataset) // count)
    images = torch.stack([prepared(i) for i in range(0, len(dataset), step)][:count])
    logits = classifier(classifier.data_preprocessor(dict(inputs=images))['inputs'])
    return images.flip(1) if reads_files(one_by_one) else images, logits


def trace(model: Deployed, images: torch.Tensor) -> torch.export.ExportedProgram:
    """Trace the net for a batch of any size.

    Raises:
        UserError: torch cannot trace it.
    """
    shapes = ({0: torch.export.Dim('batch')},)
    try:
        return torch.export.export(model, (images[:1].repeat(EXAMPLES, 1, 1, 1),), dynamic_shapes=shapes)
    except Exception as error:  # torch raises many types
        reason = ' '.join(str(error).split())[:300]
        raise UserError(
            type(model.net).__name__,
            'a net that torch.export follows for a batch of any size',
            'one that it does not',
            f'use the checkpoint with hetkd.apis.init_model. Reason: {reason}',
        ) from error


def export_onnx(model: Deployed, images: torch.Tensor, out: str, opset: int | None = None) -> None:
    """Write one ONNX file for a batch of any size; torch's default opset if none is given."""
    require('onnx', 'onnxscript')
    torch.onnx.export(
        trace(model, images), (), out, input_names=[INPUT], output_names=[OUTPUT], opset_version=opset,
        external_data=False, dynamo=True, verbose=False,
    )  # fmt: skip


def export_program(model: Deployed, images: torch.Tensor, out: str, opset: int | None = None) -> None:
    """Write a ``torch.export`` program for a batch of any size."""
    if opset is not None:
        raise UserError('opset', 'none, since it is a matter of ONNX', opset, 'drop it')
    torch.export.save(trace(model, images), out)


def load_onnx(path: str) -> Callable[[torch.Tensor], torch.Tensor]:
    """Load an ONNX file with onnxruntime on the CPU, with as many threads as torch uses."""
    require('onnxruntime')
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(path, options, providers=['CPUExecutionProvider'])
    return lambda images: torch.from_numpy(session.run([OUTPUT], {INPUT: images.numpy()})[0])


def load_program(path: str) -> Callable[[torch.Tensor], torch.Tensor]:
    """Load a ``torch.export`` program on the CPU."""
    return torch.no_grad()(torch.export.load(path).module())


# Writer, loader and file suffix of each format.
FORMATS = {
    'onnx': (export_onnx, load_onnx, '.onnx'),
    'torch-export': (export_program, load_program, '.pt2'),
}


def require(*packages: str) -> None:
    """Raise an error with the install command if a package is missing."""
    from importlib.util import find_spec

    missing = [name for name in packages if find_spec(name) is None]
    if missing:
        raise UserError('ONNX', f'{missing} to be installed', 'none', '`pip install "hetkd[deploy]"`')


def latencies(runs: dict, images: dict, batches=(1, 16), repeats: int = 50) -> dict[str, dict[int, float]]:
    """Median latency in ms of each callable at each batch size; interleaved, so that noise affects all alike.

    Args:
        runs: callables by name.
        images: (1, 3, H, W) for each name.
        batches: batch sizes.
        repeats: timed calls of each.
    """
    inputs = {name: {n: images[name].repeat(n, 1, 1, 1) for n in batches} for name in runs}
    times = {name: {n: [] for n in batches} for name in runs}
    for turn in range(-3, repeats):  # three to warm up
        for name, run in runs.items():
            for n in batches:
                begin = time.perf_counter()
                run(inputs[name][n])
                if turn >= 0:
                    times[name][n].append(1000 * (time.perf_counter() - begin))
    return {name: {n: statistics.median(x) for n, x in by.items()} for name, by in times.items()}
