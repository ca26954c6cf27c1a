"""Knowledge distillation (KD) as in Hinton et al."""

import torch

from .kl import kl_divergence


def kd_loss(
    student_logits: torch.Tensor, teacher_logits: torch.Tensor, temperature: float = 4.0
) -> torch.Tensor:
    r"""Knowledge distillation, :math:`T^2\,\mathrm{KL}(p_t \| p_s)` (arXiv 1503.02531, section 2).

    The factor :math:`T^2` keeps the gradient's size independent of T: for large T it tends to the
    gradient of half the squared difference of the centred logits, divided by C.

    Args:
        student_logits: (N, C), any real numbers; half precision is computed in float32.
        teacher_logits: (N, C). Never receives a gradient.
        temperature: T > 0. The common setting on CIFAR-100 is 4.

    Returns:
        Scalar >= 0; 0 iff both distributions are equal.

    Raises:
        UserError: shapes do not fit, or the temperature is not a finite number > 0.
    """
    return temperature**2 * kl_divergence(student_logits, teacher_logits, temperature)
