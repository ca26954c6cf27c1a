"""Refined logit distillation (RLD)."""

import torch
import torch.nn.functional as F

from .checks import check_classes, check_logits, check_temperature
from .dkd import kl_of_logs, split_at
from .precision import full_precision
from .targets import target_class


def rld_loss(
    student_logits: torch.Tensor,
    teacher_logits: torch.Tensor,
    target: torch.Tensor,
    alpha: float = 1.0,
    beta: float = 8.0,
    temperature: float = 4.0,
    confidence_temperature: float = 1.0,
) -> torch.Tensor:
    r"""Refined logit distillation (RLD, arXiv 2408.07703; read in the authors' code).

    .. math:: \alpha\,\tau^2\,\mathrm{KL}(b_t \| b_s) + \beta\,T^2\,\mathrm{KL}(q_t \| q_s)

    :math:`b_t` is the pair (probability of the teacher's largest class, of all others), :math:`b_s` the pair
    (probability of the true class, of all others) of the student, both at :math:`\tau`. :math:`q` is the
    distribution at T over the classes that the teacher ranks strictly below the true one, alone. So nothing
    is learnt from a wrong class that the teacher prefers. Where the teacher is right and :math:`\tau = T`,
    it is DKD.

    Args:
        student_logits: (N, C).
        teacher_logits: (N, C). Never receives a gradient.
        target: class indices (N,), or probabilities (N, C) whose largest is the true class (our decision).
        alpha: weight of the first part. Default 1.
        beta: weight of the second part. Default 8.
        temperature: T > 0 of the second part. Default 4.
        confidence_temperature: tau > 0 of the first part. Default 1.

    Returns:
        Scalar >= 0. A sample whose true class is the teacher's last has no second part.

    Raises:
        UserError: shapes do not fit, fewer than 2 classes, or a temperature is not a finite number > 0.
    """
    check_logits(student_logits, teacher_logits)
    check_temperature(temperature)
    check_temperature(confidence_temperature)
    check_classes('RLD', student_logits.shape[-1])
    student, teacher = full_precision(student_logits), full_precision(teacher_logits.detach())
    true = target_class(target)[:, None]
    confidence_s, _ = split_at(student / confidence_temperature, true)
    confidence_t, _ = split_at(teacher / confidence_temperature, teacher.argmax(1, keepdim=True))
    below = teacher < teacher.gather(1, true)
    # The other classes have probability 0 and one finite logarithm in both nets; without any, q is uniform.
    masked_s, masked_t = (
        F.log_softmax(torch.where(below, x / temperature, -1e30), dim=1) for x in (student, teacher)
    )
    first = confidence_temperature**2 * kl_of_logs(confidence_t, confidence_s)
    return alpha * first + beta * temperature**2 * kl_of_logs(masked_t, masked_s)
