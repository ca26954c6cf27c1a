"""Labels of a batch, in which images may have none (semi-supervised training)."""

from typing import NamedTuple, Optional

import torch
from mmpretrain.structures import DataSample

from hetkd.devices import to_device
from hetkd.functional.targets import one_hot

NO_LABEL = -1


class Labels(NamedTuple):
    """The labels of a batch."""

    target: torch.Tensor
    """Class indices (N,), or probabilities (N, C) where the samples hold mixed labels. Without a label: -1,
    or a row of NaN."""
    labelled: Optional[torch.Tensor]
    """Places of the images with a label (L,); None where all have one."""


def batch_labels(data_samples: list[DataSample], device: torch.device) -> Labels:
    """The labels of data samples; of mixed images (``gt_score``) those of all parts, or none.

    Which images have a label is known on the CPU, but for mixed ones of a batch with unlabelled images.
    """
    known = torch.tensor([i for i, x in enumerate(data_samples) if 'gt_label' in x or 'gt_score' in x])
    if any('gt_score' in x for x in data_samples):
        target = _scores(data_samples)
        if any('mixed_with_unlabelled' in x for x in data_samples):
            known = (~target.isnan().any(1)).nonzero()[:, 0]
    else:
        blank = torch.full((1,), NO_LABEL, device=device)
        target = torch.cat([x.gt_label if 'gt_label' in x else blank for x in data_samples])
    return Labels(target, None if len(known) == len(target) else to_device(known.long(), device))


def _scores(data_samples: list[DataSample]) -> torch.Tensor:
    like = next(x.gt_score for x in data_samples if 'gt_score' in x)
    blank = torch.full_like(like, torch.nan, dtype=torch.float)
    # One-hot scores are integers. An image with another kind of label than the first is no unlabelled one.
    return torch.stack(
        [x.gt_score.float() if 'gt_score' in x or 'gt_label' in x else blank for x in data_samples]
    )


def answered(target: torch.Tensor, teacher_logits: torch.Tensor) -> torch.Tensor:
    """The target in which images without a label have the teacher's answer, its most probable class.

    Args:
        target: of :class:`Labels`.
        teacher_logits: (N, C).
    """
    answer = teacher_logits.argmax(1)
    if target.dim() == 1:
        return torch.where(target == NO_LABEL, answer, target)
    rows = one_hot(answer, teacher_logits.shape[1], target.dtype)
    return torch.where(target.isnan().any(1, keepdim=True), rows, target)
