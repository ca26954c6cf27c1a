"""CRD's loss with its memory banks."""

import math

import torch
import torch.nn.functional as F
from mmengine.dist import all_gather

from hetkd.arguments import Count, Temperature, Weight
from hetkd.devices import to_device
from hetkd.errors import UserError
from hetkd.functional import crd_log_normalisers, crd_loss
from hetkd.registry import MODELS

from .base import FunctionLoss


@MODELS.register_module()
class CRDLoss(FunctionLoss):
    """Feature loss over :func:`hetkd.functional.crd_loss` (arXiv 1910.10699).

    Two memory banks hold one unit vector of each net for each training image. :meth:`prepare_data` sizes them
    from the labels of the training data; ``TrainingDataHook`` of the default runtime calls it. They are part
    of checkpoints, and equal in all processes: each adds what every process has seen.

    The embeddings must be unit vectors of one width: give the distiller
    ``embedding_matcher=dict(type='ContrastHead')``.

    Args:
        num_negatives: K, drawn with replacement from the images of other classes.
        channels: width of the embeddings.
        temperature: tau > 0.
        momentum: how much of the old vector stays, in [0, 1).
        loss_weight: factor of the result; 0.8 in the authors' command line.

    Raises:
        UserError: an option out of its range.
    """

    needs = ('embedding', 'index')

    def __init__(
        self,
        num_negatives: Count = 16384,
        channels: Count = 128,
        temperature: Temperature = 0.07,
        momentum: float = 0.5,
        loss_weight: Weight = 0.8,
    ):
        super().__init__(crd_loss, loss_weight, temperature=temperature)
        if not 0 <= momentum < 1:
            raise UserError('momentum', 'a number in [0, 1)', repr(momentum), 'the authors use 0.5')
        self.num_negatives = num_negatives
        self.momentum = momentum
        self.register_buffer('student_memory', torch.empty(0, channels))
        self.register_buffer('teacher_memory', torch.empty(0, channels))
        self.register_buffer('log_normalisers', torch.full((2,), torch.nan))
        self._by_class: tuple[torch.Tensor, ...] = ()
        self._normalised = False

    def prepare_data(self, labels: torch.Tensor) -> None:
        """Size the banks for a training set.

        Args:
            labels: (M,) class indices of its images. One without a label (-1) is a class of its own: its
                negatives are all other images.

        Raises:
            UserError: all images are of one class, so there are no negatives.
        """
        labels = torch.as_tensor(labels)
        own = -1 - torch.arange(len(labels))
        labels = torch.where(labels < 0, own, labels).unique(return_inverse=True)[1]
        counts = labels.bincount()
        if counts.numel() == 0 or counts.max() == len(labels):
            raise UserError(
                'CRD',
                'training images of at least two classes',
                f'{len(labels)} of one',
                'the negatives of an image are those of other classes',
            )
        # The images by class, so that "not of this class" is everything but one run of places; and the
        # first place and the length of each image's own run.
        first = counts.cumsum(0) - counts
        self._by_class = (labels.argsort(stable=True), first[labels], counts[labels])
        channels = self.student_memory.shape[1]
        # Equal in all processes, whatever their seeds are; as wide as the authors'.
        generator, bound = torch.Generator().manual_seed(0), (3 / channels) ** 0.5
        for name in ('student_memory', 'teacher_memory'):
            memory = torch.empty(len(labels), channels).uniform_(-bound, bound, generator=generator)
            setattr(self, name, memory.to(getattr(self, name).device))

    def forward(self, student, teacher, target=None, index=None):
        """Student and teacher :class:`~hetkd.models.nets.NetOutput` to a scalar; the banks take them up.

        Args:
            student, teacher: their embeddings (N, channels) are unit vectors.
            target: unused; an image's class is that of its index, also where images are mixed.
            index: (N,) places of the images in the training set, on the CPU.

        Raises:
            UserError: no index, an index outside the training set, or banks that were never sized.
        """
        index = to_device(self._check(index), student.embedding.device)
        inputs = (student.embedding, teacher.embedding, self.student_memory, self.teacher_memory)
        inputs += (torch.cat([index[:, None], self._negatives(index)], 1),)
        if not self._normalised:
            self._normalise(inputs)
        loss = self.weighted(*inputs, log_normalisers=self.log_normalisers)
        self._remember(index, student.embedding.detach(), teacher.embedding.detach())
        return loss

    def _check(self, index):
        if index is None:
            raise UserError(
                'CRD',
                "the images' indices in the training set",
                'none',
                'use it in a FeatureDistiller, and keep sample_idx in the meta_keys of PackInputs',
            )
        size = len(self.student_memory)
        if size == 0:
            raise UserError(
                'CRD',
                'memory banks sized from the training set',
                'none',
                "keep training_data=dict(type='TrainingDataHook') in default_hooks, or call "
                'loss.prepare_data(labels) yourself',
            )
        if max(index.tolist()) >= size:  # on the CPU, so nobody waits
            raise UserError(
                'CRD',
                f'indices below {size}, the number of training images at the start',
                int(index.max()),
                'the data set must not change its size during a run',
            )
        return index

    def _negatives(self, index):
        """(N, K) images of other classes, uniformly."""
        self._by_class = order, first, count = tuple(x.to(index.device) for x in self._by_class)
        first, count = first[index, None], count[index, None]
        others = len(order) - count
        drawn = torch.rand(len(index), self.num_negatives, device=index.device) * others
        drawn = torch.minimum(drawn.long(), others - 1)
        return order[drawn + count * (drawn >= first)]

    def _normalise(self, inputs) -> None:
        """Z of the first batch over all processes, kept for good; a resumed run brings its own."""
        if self.log_normalisers.isnan().any():
            gathered = torch.stack(all_gather(crd_log_normalisers(*inputs, **self.options)))
            self.log_normalisers.copy_(gathered.logsumexp(0) - math.log(len(gathered)))
        self._normalised = True

    @torch.no_grad()
    def _remember(self, index, student, teacher) -> None:
        index, both = (torch.cat(all_gather(x)) for x in (index, torch.cat([student, teacher], 1)))
        for name, new in zip(('student_memory', 'teacher_memory'), both.chunk(2, 1)):
            memory = getattr(self, name)
            mixed = self.momentum * memory[index] + (1 - self.momentum) * new.to(memory.dtype)
            memory.index_copy_(0, index, F.normalize(mixed, dim=1))  # backward does not read it

    def _load_from_state_dict(self, state_dict, prefix, *args, **kwargs):
        saved = state_dict.get(prefix + 'student_memory')
        if saved is not None and saved.shape != self.student_memory.shape:
            raise UserError(
                'CRD',
                f'memory banks {tuple(self.student_memory.shape)} (training images, channels)',
                f'{tuple(saved.shape)} in the checkpoint',
                'resume with the data set and the channels that the run began with, or begin a new run',
            )
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)
