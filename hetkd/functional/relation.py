"""KL divergence between outer-product relations: value and gradient in one pass, in little memory."""

from typing import NamedTuple, Optional

import torch

from .checks import without_autocast

# Entries of one chunk's (K, b, D, D) relations: 8 MiB on a CPU, 128 MiB on a GPU, in float32.
_CHUNK = {'cpu': 2**21}
_CHUNK_GPU = 2**25


@without_autocast
def relation_kl(student: torch.Tensor, teacher: torch.Tensor, scale: float) -> torch.Tensor:
    r"""Mean KL(teacher column || student column) of the relations :math:`R[b] = s\,x_b x_b^\top`.

    A softmax makes every column of R[b] (D, D) a distribution; the mean is over the items b and the
    columns. With logits (N, C) this is MLDR-KD's class relation; with transposed logits (C, N), its
    sample relation (arXiv 2502.06189).

    How it is computed (our derivation). Let u = x of the student, v of the teacher, P = softmax(R).
    The largest entry of column j is :math:`s\max(u_j \max u, u_j \min u)`, known without a search,
    so one exp per entry is enough: E = exp(R - max), column sums z, P = E / z. Then

    - loss of column j: :math:`s v_j (P_t^\top v)_j - s u_j (P_t^\top u)_j + \mathrm{lse}_s - \mathrm{lse}_t`,
    - gradient: :math:`s (G + G^\top) u` with G = P_s - P_t, of which only :math:`E(u/z)`,
      :math:`E^\top u / z`, :math:`P_t u` and :math:`P_t^\top u` are needed: P_s is never formed.

    Items are processed in chunks. Nothing of size B D^2 is kept, and the teacher's terms are shared by all K
    students. One item is never split, so (K + 1) D^2 numbers must fit. The result is differentiable once.

    Args:
        student: (K, B, D) float32 or float64, K students of one teacher.
        teacher: (B, D). Never receives a gradient.
        scale: s > 0.

    Returns:
        (K,) tensor, >= 0 up to rounding.

    Raises:
        RuntimeError: a second derivative is asked for (backward with ``create_graph=True``).
    """
    want_grad = student.requires_grad and torch.is_grad_enabled()
    return _RelationKL.apply(student, teacher.detach().to(student.dtype), scale, want_grad)


@without_autocast
def mean_relation(logits: torch.Tensor, scale: float) -> torch.Tensor:
    r"""Mean over the items b of the relations that :func:`relation_kl` compares.

    Args:
        logits: (B, D).
        scale: s > 0; :math:`R[b] = s\,x_b x_b^\top`, a softmax makes every column a distribution.

    Returns:
        (D, D); every column sums to 1.
    """
    step = max(1, _CHUNK['cpu'] // logits.shape[1] ** 2)
    total = 0
    for chunk in logits.split(step):
        exp, norm, _ = _exponentials(chunk, scale)
        total = total + exp.div_(norm.unsqueeze(-2)).sum(0)
    return total / len(logits)


class _RelationKL(torch.autograd.Function):
    @staticmethod
    def forward(ctx, student, teacher, scale, want_grad):
        loss, grad = _pass(student, teacher, scale, want_grad)
        if grad is not None:
            ctx.save_for_backward(grad)
        return loss

    @staticmethod
    def backward(ctx, grad_loss):
        if torch.is_grad_enabled():
            # The gradient is a saved constant: a second derivative would silently miss it.
            raise RuntimeError(
                'relation_kl: expected a first derivative, got backward with create_graph=True; the DFRA '
                'relations are differentiable once'
            )
        (grad,) = ctx.saved_tensors
        with torch.autocast(grad.device.type, enabled=False):
            return grad_loss[:, None, None] * grad, None, None, None


def _pass(student, teacher, scale, want_grad):
    """Loss (K,) and, if wanted, its gradient (K, B, D), chunk by chunk."""
    num_students, items, dim = student.shape
    budget = _CHUNK.get(student.device.type, _CHUNK_GPU)
    step = max(1, budget // (num_students * dim * dim))
    loss = student.new_zeros(num_students)
    grad = torch.empty_like(student) if want_grad else None
    for start in range(0, items, step):
        part = slice(start, start + step)
        chunk_loss, chunk_grad = _chunk(student[:, part], teacher[part], scale, want_grad)
        loss += chunk_loss
        if want_grad:
            grad[:, part] = chunk_grad
    count = items * dim
    return loss / count, grad.div_(count) if want_grad else None


def _chunk(u, v, scale, want_grad):
    """Sums over one chunk: u (K, b, D), v (b, D)."""
    teacher = _exponentials(v, scale)
    # P_t is formed once; all students and v itself are columns of one product with it.
    prob = teacher.exp.div_(teacher.norm.unsqueeze(-2))
    columns = torch.cat([u, v[None]]).permute(1, 2, 0).contiguous()
    expected = (prob.mT @ columns).permute(2, 0, 1)
    cross = scale * (v * expected[-1]) - teacher.lse

    student = _exponentials(u, scale)
    loss = (cross - scale * (u * expected[:-1]) + student.lse).sum((-2, -1))
    if not want_grad:
        return loss, None
    pulled = (prob @ columns[..., :-1]).permute(2, 0, 1) + expected[:-1]
    pushed = (student.exp @ (u / student.norm).unsqueeze(-1)).squeeze(-1)
    pushed += (u.unsqueeze(-2) @ student.exp).squeeze(-2) / student.norm
    return loss, scale * (pushed - pulled)


class _Exponentials(NamedTuple):
    exp: torch.Tensor
    """(..., D, D) exp(R - column maximum)."""
    norm: torch.Tensor
    """(..., D) column sums of exp."""
    lse: Optional[torch.Tensor]
    """(..., D) log-sum-exp of each column of R."""


def _exponentials(x: torch.Tensor, scale: float) -> _Exponentials:
    row = scale * x
    top = torch.maximum(row * x.amax(-1, keepdim=True), row * x.amin(-1, keepdim=True))
    exp = (x.unsqueeze(-1) * row.unsqueeze(-2)).sub_(top.unsqueeze(-2)).exp_()
    norm = exp.sum(-2)
    return _Exponentials(exp, norm, top + norm.log())
