"""Expected calibration error."""

import pytest
import torch

from hetkd.errors import UserError
from hetkd.evaluation import CalibrationError
from hetkd.functional import calibration_bins, calibration_error


def transcription(scores, target, bins):
    """Guo et al., equation 5, computed bin by bin."""
    confidence, label = scores.max(1)
    total = 0.0
    for b in range(bins):
        inside = (confidence > b / bins) & (confidence <= (b + 1) / bins)
        if inside.any():
            accuracy = (label[inside] == target[inside]).double().mean()
            total += inside.double().mean() * (accuracy - confidence[inside].mean()).abs()
    return total


@pytest.mark.parametrize('bins', [1, 10, 15])
@pytest.mark.parametrize('classes', [2, 7])
def test_it_equals_the_papers_formula(bins, classes):
    scores = (3 * torch.randn(500, classes, dtype=torch.float64)).softmax(1)
    target = torch.randint(classes, (500,))
    torch.testing.assert_close(calibration_error(scores, target, bins), transcription(scores, target, bins))


def test_a_sure_and_right_net_has_none_and_a_sure_and_wrong_one_has_all():
    scores = torch.eye(3)
    assert calibration_error(scores, torch.tensor([0, 1, 2])) == 0
    assert calibration_error(scores, torch.tensor([1, 2, 0])) == 1


def test_bins_hold_what_a_reliability_diagram_shows():
    scores = torch.tensor([[0.55, 0.45], [0.35, 0.65], [0.95, 0.05], [0.45, 0.55]])
    count, right, confidence = calibration_bins(scores, torch.tensor([0, 0, 0, 1]), 10)
    assert count.tolist() == [0, 0, 0, 0, 0, 2, 1, 0, 0, 1]
    assert right.tolist() == [0, 0, 0, 0, 0, 2, 0, 0, 0, 1]
    torch.testing.assert_close(confidence[[5, 6, 9]].float(), torch.tensor([1.1, 0.65, 0.95]))


def test_no_samples_and_no_bins_are_refused():
    with pytest.raises(UserError, match='at least one bin, got 0 and 15'):
        calibration_error(torch.empty(0, 3), torch.empty(0))
    with pytest.raises(UserError, match='got 1 and 0'):
        calibration_error(torch.eye(1), torch.tensor([0]), 0)


@pytest.mark.parametrize('bins', [5, 15])
def test_the_metric_is_the_function_in_percent(bins, samples_of):
    scores = torch.randn(40, 5).softmax(1)
    target = torch.randint(5, (40,))
    metric = CalibrationError(num_bins=bins)
    for part in (slice(0, 25), slice(25, 40)):
        metric.process(None, [x.to_dict() for x in samples_of(scores[part], target[part])])
    assert metric.evaluate(40) == {
        'calibration/ece': pytest.approx(100 * float(calibration_error(scores, target, bins)), rel=1e-5)
    }
