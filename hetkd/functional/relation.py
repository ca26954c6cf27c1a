"""KL divergence between outer-product relations: value and gradient in one pass, in little memory."""

import torch

from .one_pass import with_gradient
from .precision import without_autocast

# Entries of one chunk's (K, b, D, D) relations: 2 MiB on a CPU, 128 MiB on a GPU, in float32.
_CHUNK = {'cpu': 2**19}
_CHUNK_GPU = 2**25


@without_autocast
def relation_kl(student: torch.Tensor, teacher: torch.Tensor, scale: float) -> torch.Tensor:
    r"""Mean KL(teacher column || student column) of the relations :math:`R[b] = s\,x_b x_b^\top`.

    A softmax makes every column of R[b] (D, D) a distribution; the mean is over the items b and the
    columns. With logits (N, C) this is MLDR-KD's class relation; with transposed logits (C, N), its
    sample relation (arXiv 2502.06189).

    How it is computed (our derivation). Let u = x of the student, v of the teacher, P = softmax(R). The
    largest entry of column j is :math:`s u_j \max u` or :math:`s u_j \min u`, known without a search, and
    gives the column's log-sum-exp. R is symmetric, so with :math:`Q = P_t + P_t^\top`

    - loss, summed over the columns: :math:`\frac s2 (v^\top Q v - u^\top Q u) + \sum_j (\mathrm{lse}_s -
      \mathrm{lse}_t)_j`,
    - gradient: :math:`s (P_s + P_s^\top - Q) u`.

    Items, and the columns of large ones, are processed in chunks. Nothing of size D^2 is kept, and the
    teacher's terms are shared by all K students. The result is differentiable once.

    Args:
        student: (K, B, D) float32 or float64, K students of one teacher.
        teacher: (B, D). Never receives a gradient.
        scale: s > 0.

    Returns:
        (K,) tensor, >= 0 up to rounding.

    Raises:
        UserError: a second derivative is asked for (backward with ``create_graph=True``).
    """
    want_grad = student.requires_grad and torch.is_grad_enabled()
    with torch.no_grad():
        loss, grad = _pass(student, teacher.to(student.dtype), scale, want_grad)
    return with_gradient(student, loss, grad) if want_grad else loss


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
        total = total + _columns(chunk, scale).sum(0)
    return total.T / len(logits)


def _pass(student, teacher, scale, want_grad):
    """Loss (K,) and, if wanted, its gradient (K, B, D), chunk by chunk."""
    num_students, items, dim = student.shape
    budget = _CHUNK.get(student.device.type, _CHUNK_GPU) // num_students
    step = max(1, budget // dim**2)
    loss = student.new_zeros(num_students)
    grad = torch.empty_like(student) if want_grad else None
    for start in range(0, items, step):
        part = slice(start, start + step)
        chunk_loss, chunk_grad = _chunk(student[:, part], teacher[part], scale, budget, want_grad)
        loss += chunk_loss
        if want_grad:
            grad[:, part] = chunk_grad
    count = items * dim
    return loss / count, grad.div_(count) if want_grad else None


def _chunk(u, v, scale, budget, want_grad):
    """Sums over one chunk: u (K, b, D), v (b, D)."""
    step = max(1, budget // v.numel())
    lse, products = _products(v, torch.cat([u, v[None]]).transpose(0, 1), scale, step)
    pulled, own = products.transpose(0, 1).split([len(u), 1])
    # Two equal rows: on a CPU the product with one alone takes five times as long.
    student_lse, pushed = _products(u, torch.stack([u, u], -2), scale, step)
    loss = (scale / 2 * (v * own - u * pulled) + (student_lse - lse)).sum((-2, -1))
    return loss, scale * (pushed[..., 0, :] - pulled) if want_grad else None


def _products(x, rows, scale, step):
    """Log-sum-exp (..., D) of the columns of R, and (P + P^T) y of each of the rows y (..., K, D)."""
    lse, products = torch.empty_like(x), torch.zeros_like(rows)
    for start in range(0, x.shape[-1], step):
        part = slice(start, start + step)
        columns = _columns(x, scale, part)
        lse[..., part] = _log_sum_exp(x, columns, scale, part)
        products[..., part] += rows @ columns.mT
        products += rows[..., part] @ columns
    return lse, products


def _columns(x, scale, part=slice(None)):
    """(..., d, D) some columns of P = softmax(R), as rows."""
    return ((scale * x[..., part]).unsqueeze(-1) * x.unsqueeze(-2)).softmax(-1)


def _log_sum_exp(x, columns, scale, part=slice(None)):
    """(..., d) log-sum-exp of some columns of R, from the largest entry and its probability."""
    row = scale * x[..., part]
    largest = torch.where(row >= 0, x.argmax(-1, keepdim=True), x.argmin(-1, keepdim=True))
    probability = columns.gather(-1, largest.unsqueeze(-1)).squeeze(-1)
    return row * x.gather(-1, largest) - probability.log()
