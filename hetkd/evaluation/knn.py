"""k-nearest-neighbour accuracy of the embedding as a metric."""

import torch
from mmengine.evaluator import BaseMetric

from hetkd.arguments import Count, Temperature
from hetkd.functional import knn_accuracy
from hetkd.registry import METRICS


@METRICS.register_module()
class KNNAccuracy(BaseMetric):
    """Leave-one-out accuracy of a weighted kNN classifier on the embedding, in percent, as ``knn/top1``.

    It measures a backbone whose class head is not trained, as without any label. The neighbours of an image
    are the other images of the validation set: no second data set is read and no training label is used. The
    value depends on the size of the set, so compare values on one set only. See
    :func:`hetkd.functional.knn_accuracy`.

    Args:
        k: number of neighbours. Default 20.
        temperature: of the votes. Default 0.07.
        **kwargs: ``collect_device``, ``prefix``; see mmengine's ``BaseMetric``.
    """

    default_prefix = 'knn'
    needs_embedding = True

    def __init__(self, k: Count = 20, temperature: Temperature = 0.07, **kwargs):
        super().__init__(**kwargs)
        self.k, self.temperature = k, temperature

    def process(self, data_batch, data_samples) -> None:
        """Keep the embedding and the class."""
        self.results += [(x['embedding'].float().cpu(), x['gt_label'].cpu().view(())) for x in data_samples]

    def compute_metrics(self, results) -> dict[str, float]:
        embedding, target = (torch.stack(x) for x in zip(*results))
        return {'top1': 100 * float(knn_accuracy(embedding, target, self.k, self.temperature))}
