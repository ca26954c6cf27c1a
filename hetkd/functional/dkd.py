"""Decoupled knowledge distillation (DKD)."""

import torch
import torch.nn.functional as F

from .checks import check_classes, check_logits, check_temperature
from .precision import full_precision
from .targets import target_class


def dkd_loss(
    student_logits: torch.Tensor,
    teacher_logits: torch.Tensor,
    target: torch.Tensor,
    alpha: float = 1.0,
    beta: float = 8.0,
    temperature: float = 4.0,
) -> torch.Tensor:
    r"""Decoupled knowledge distillation (arXiv 2203.08679).

    .. math:: T^2 [\alpha\,\mathrm{KL}(b_t \| b_s) + \beta\,\mathrm{KL}({\hat p{}}_t \| {\hat p{}}_s)]

    b is the pair (probability of the true class, of all others); :math:`\hat p` the distribution over the
    others alone. KD is the special case of weights 1 and :math:`1 - p_t(y)`, sample by sample.

    Args:
        student_logits: (N, C).
        teacher_logits: (N, C). Never receives a gradient.
        target: class indices (N,), or probabilities (N, C) whose largest is the true class (our decision).
        alpha: weight of the target-class part. Default 1.
        beta: weight of the non-target part. 8 is common on CIFAR-100.
        temperature: T > 0. 4 is common on CIFAR-100.

    Returns:
        Scalar >= 0; 0 for equal logits.

    Raises:
        UserError: shapes do not fit, fewer than 2 classes, or the temperature is not a finite number > 0.
    """
    check_logits(student_logits, teacher_logits)
    check_temperature(temperature)
    check_classes('DKD', student_logits.shape[-1])
    true = target_class(target)[:, None]
    binary_s, others_s = split_at(full_precision(student_logits) / temperature, true)
    binary_t, others_t = split_at(full_precision(teacher_logits.detach()) / temperature, true)
    losses = [kl_of_logs(binary_t, binary_s), kl_of_logs(others_t, others_s)]
    return temperature**2 * (alpha * losses[0] + beta * losses[1])


def split_at(logits: torch.Tensor, true: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Log probabilities of (true class, all others) (N, 2), and among the others (N, C).

    Among the others, the true class has probability 0 and one finite logarithm in both nets.
    """
    others = F.log_softmax(logits.scatter(1, true, -1e30), dim=1)
    # The others' log-sum-exp is the difference of any of their logits and its log probability.
    best = others.detach().argmax(1, keepdim=True)
    odds = logits.gather(1, true) - logits.gather(1, best) + others.gather(1, best)
    return F.logsigmoid(torch.cat([odds, -odds], dim=1)), others


def kl_of_logs(log_p: torch.Tensor, log_q: torch.Tensor) -> torch.Tensor:
    """KL(p || q) of log probabilities (N, K), averaged over the batch."""
    return F.kl_div(log_q, log_p, reduction='batchmean', log_target=True)
