"""OFA-KD's target-enhanced cross-entropy."""

import torch
import torch.nn.functional as F

from hetkd.errors import UserError

from .checks import check_logits, check_temperature
from .precision import full_precision
from .targets import one_hot, target_class


def ofa_loss(
    student_logits: torch.Tensor,
    teacher_logits: torch.Tensor,
    target: torch.Tensor,
    eps: float = 1.0,
    temperature: float = 1.0,
) -> torch.Tensor:
    r"""OFA-KD's target-enhanced cross-entropy (arXiv 2310.19444).

    .. math:: \mathrm{mean}_n\, {-\sum_c} \left[(p_t + 1_y)^{\epsilon} - 1_y\right] \log p_s

    With :math:`\epsilon = 1` it is the cross-entropy of the student with the teacher's probabilities.

    Args:
        student_logits: (..., N, C); leading dimensions hold several students (stages).
        teacher_logits: (N, C). Never receives a gradient.
        target: class indices (N,), or probabilities (N, C) whose largest is the true class.
        eps: the modulating exponent, >= 1. Default 1; the paper uses 1.5 on ImageNet.
        temperature: T > 0. Default 1.

    Returns:
        Tensor of the leading shape (a scalar for (N, C)).

    Raises:
        UserError: shapes do not fit, eps < 1, or the temperature is not a finite number > 0.
    """
    check_temperature(temperature)
    check_logits(student_logits, teacher_logits)
    if not eps >= 1:
        raise UserError('eps', 'a number >= 1', repr(eps), 'the paper uses 1 and 1.5')
    log_s = F.log_softmax(full_precision(student_logits) / temperature, dim=-1)
    teacher = F.softmax(full_precision(teacher_logits.detach()) / temperature, dim=-1)
    mask = one_hot(target_class(target), teacher.shape[1], teacher.dtype)
    return -(((teacher + mask) ** eps - mask) * log_s).sum(-1).mean(-1)
