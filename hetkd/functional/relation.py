"""KL divergence between outer-product relations: value and gradient in one pass, in little memory."""

import torch

from .checks import without_autocast
from .one_pass import with_gradient

# Entries of one chunk's (K, b, D, D) relations: 4 MiB on a CPU, 128 MiB on a GPU, in float32.
_CHUNK = {'cpu': 2**20}
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
    columns = _columns(v, scale)
    lse = _log_sum_exp(v, columns, scale)
    products = _both_ways(torch.cat([u, v[None]]).transpose(0, 1), columns).transpose(0, 1)
    pulled, own = products[:-1], products[-1]

    columns = _columns(u, scale)
    terms = scale / 2 * (v * own - u * pulled) + (_log_sum_exp(u, columns, scale) - lse)
    loss = terms.sum((-2, -1))
    if not want_grad:
        return loss, None
    # Two equal rows: on a CPU the product with one alone takes five times as long.
    pushed = _both_ways(torch.stack([u, u], -2), columns)[..., 0, :]
    return loss, scale * (pushed - pulled)


def _columns(x, scale):
    """(..., D, D) the transposed P = softmax(R): row j is the distribution of column j of R."""
    return ((scale * x).unsqueeze(-1) * x.unsqueeze(-2)).softmax(-1)


def _log_sum_exp(x, columns, scale):
    """(..., D) log-sum-exp of each column of R, from its largest entry and the probability of that."""
    row = scale * x
    largest = torch.where(row >= 0, x.argmax(-1, keepdim=True), x.argmin(-1, keepdim=True))
    probability = columns.gather(-1, largest.unsqueeze(-1)).squeeze(-1)
    return row * x.gather(-1, largest) - probability.log()


def _both_ways(rows, columns):
    """The products (P + P^T) y of each row y of (..., K, D)."""
    return rows @ columns + rows @ columns.mT
