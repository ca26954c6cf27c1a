"""Test-time augmentation: the mean of an image's views."""

import torch
from mmpretrain.models import AverageClsScoreTTA

from hetkd.registry import MODELS


@MODELS.register_module()
class AverageViews(AverageClsScoreTTA):
    """mmpretrain's mean of the scores; label and embedding are those of the mean too, not of the first view.

    Args:
        **kwargs: ``module``, the tested model; see mmengine's ``BaseTTAModel``.
    """

    averages_embedding = True

    def _merge_single_sample(self, data_samples):
        merged = super()._merge_single_sample(data_samples)
        merged.set_pred_label(merged.pred_score.argmax(0, keepdim=True))
        if 'embedding' in merged:
            merged.set_field(torch.stack([x.embedding for x in data_samples]).mean(0), 'embedding')
        return merged
