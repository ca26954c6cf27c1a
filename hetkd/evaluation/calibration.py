"""Expected calibration error as a metric."""

import torch
from mmengine.evaluator import BaseMetric

from hetkd.arguments import Count
from hetkd.functional import calibration_error
from hetkd.registry import METRICS


@METRICS.register_module()
class CalibrationError(BaseMetric):
    """Expected calibration error in percent, logged as ``calibration/ece``.

    Source: Guo et al., ICML 2017; see :func:`hetkd.functional.calibration_error`.

    Args:
        num_bins: bins of confidence. Default 15.
        **kwargs: ``collect_device``, ``prefix``; see mmengine's ``BaseMetric``.
    """

    default_prefix = 'calibration'

    def __init__(self, num_bins: Count = 15, **kwargs):
        super().__init__(**kwargs)
        self.num_bins = num_bins

    def process(self, data_batch, data_samples) -> None:
        """Keep the largest score, and whether its class is the true one."""
        for sample in data_samples:
            score, label = sample['pred_score'].max(0)
            self.results.append((score.cpu(), (label == sample['gt_label'].to(label.device)).cpu().view(())))

    def compute_metrics(self, results) -> dict[str, float]:
        confidence, right = (torch.stack(x) for x in zip(*results))
        # As a net of one class: its score, and label 0 where that class is the true one.
        error = calibration_error(confidence[:, None], (~right).long(), self.num_bins)
        return {'ece': 100 * float(error)}
