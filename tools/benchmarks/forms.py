"""Inputs and two implementations of each loss, the usual form in plain PyTorch and hetkd's, for losses.py.

The usual forms are ours, after the algorithms that released code and other toolboxes use.
"""

import math

import torch
import torch.nn.functional as F
from measure import DEVICE

from hetkd.functional import (
    crd_loss,
    dfra_loss,
    dist_loss,
    dkd_loss,
    kd_loss,
    ofa_loss,
    orthogonality_loss,
    rkd_loss,
    sublogit_ce,
    sublogit_kl,
)

STUDENTS, STAGES, SUBS, NEGATIVES, WIDTH = 6, 4, 4, 16384, 128


def _seeded():
    return torch.Generator().manual_seed(0)


def _logits(*leading):
    """A function that makes (logits, teacher's logits, labels); the logits have further leading axes."""

    def make(shape):
        samples, classes = shape
        generator = _seeded()
        teacher = 2 * torch.randn(samples, classes, generator=generator)
        sizes = [samples if x is None else x for x in leading]
        near = teacher[:, None] if leading[-1] == SUBS else teacher
        logits = near + torch.randn(*sizes, classes, generator=generator)
        target = torch.randint(classes, (samples,), generator=generator)
        return logits.to(DEVICE).requires_grad_(), teacher.to(DEVICE), target.to(DEVICE)

    return make


def _done(loss):
    loss.backward()
    return loss.detach()


def make_dfra(shape):
    """Logits of six students (a net's own, four stages, fused), near those of a teacher."""
    generator = _seeded()
    teacher = 2 * torch.randn(*shape, generator=generator)
    students = teacher + 0.5 * torch.randn(STUDENTS, *shape, generator=generator)
    return students.to(DEVICE).requires_grad_(), teacher.to(DEVICE)


def plain_dfra(students, teacher):
    """DFRA of one student after another, as in the authors' release; one graph is alive at a time."""
    scale, losses = teacher.shape[1] ** -0.5, []
    for student in students:
        loss = 2 * F.kl_div(student.log_softmax(1), teacher.softmax(1), reduction='batchmean')
        for x, y in ((student, teacher), (student.T, teacher.T)):
            ours, theirs = (scale * (z.unsqueeze(-1) @ z.unsqueeze(-2)) for z in (x, y))
            divergence = F.kl_div(ours.log_softmax(-2), theirs.softmax(-2), reduction='none')
            loss = loss + divergence.sum(-2).mean()
        losses.append(_done(loss))
    return torch.stack(losses)


def hetkd_dfra(students, teacher):
    losses = dfra_loss(students, teacher).total
    losses.sum().backward()
    return losses.detach()


def plain_kd(student, teacher, target):
    """KD at T 4."""
    return _done(16 * F.kl_div((student / 4).log_softmax(1), (teacher / 4).softmax(1), reduction='batchmean'))


def hetkd_kd(student, teacher, target):
    return _done(kd_loss(student, teacher, 4.0))


def plain_dist(student, teacher, target):
    """DIST by cosine similarities of centred probabilities."""

    def pearson(x, y):
        return F.cosine_similarity(x - x.mean(1, keepdim=True), y - y.mean(1, keepdim=True), dim=1).mean()

    p, q = student.softmax(1), teacher.softmax(1)
    return _done(2 - pearson(p, q) - pearson(p.T, q.T))


def hetkd_dist(student, teacher, target):
    return _done(dist_loss(student, teacher))


def make_rkd(shape):
    """Embeddings (N, D) of student and teacher."""
    generator = _seeded()
    teacher = torch.randn(*shape, generator=generator)
    student = teacher + torch.randn(*shape, generator=generator)
    return student.to(DEVICE).requires_grad_(), teacher.to(DEVICE)


def plain_rkd(student, teacher):
    """RKD with a matrix of distances, and edges (N, N, D) for the angles."""

    def relations(x):
        squared = x.square().sum(1)
        distances = (squared[:, None] + squared - 2 * x @ x.T).clamp(min=1e-12).sqrt()
        distances = distances * (1 - torch.eye(len(x), device=x.device))
        edges = F.normalize(x[None] - x[:, None], dim=2)
        return distances / distances[distances > 0].mean(), edges @ edges.mT

    with torch.no_grad():
        theirs = relations(teacher)
    distance, angle = (F.smooth_l1_loss(x, y) for x, y in zip(relations(student), theirs))
    return _done(25 * distance + 50 * angle)


def hetkd_rkd(student, teacher):
    return _done(rkd_loss(student, teacher))


def plain_ofa(students, teacher, target):
    """OFA's loss, stage by stage."""
    p, mask = teacher.softmax(1), F.one_hot(target, teacher.shape[1])
    return _done(sum((-((p + mask - mask) * x.log_softmax(1)).sum(1)).mean() for x in students))


def hetkd_ofa(students, teacher, target):
    return _done(ofa_loss(students, teacher, target).sum())


def plain_sub_logit(sub_logits, student, target):
    """HCD's SDD in a loop over 4 stages x 4 sub-logits."""
    total = 0
    for stage in sub_logits:
        for j in range(stage.shape[1]):
            ce = F.cross_entropy(stage[:, j], target, label_smoothing=0.1)
            inputs = student.log_softmax(1), stage[:, j].log_softmax(1)
            total = total + (ce + 6 * F.kl_div(*inputs, reduction='batchmean', log_target=True)) / SUBS
    return _done(total)


def hetkd_sub_logit(sub_logits, student, target):
    return _done((sublogit_ce(sub_logits, target) + 6 * sublogit_kl(sub_logits, student)).sum())


def plain_orthogonality(sub_logits, student, target):
    """HCD's orthogonality loss, pair by pair, the true class removed by a mask."""
    samples, classes = student.shape
    others = ~F.one_hot(target, classes).bool()
    total = 0
    for stage in sub_logits:
        rest = [stage[:, j][others].view(samples, classes - 1) for j in range(SUBS)]
        for j in range(SUBS):
            for m in range(SUBS):
                if j != m:
                    cosine = F.cosine_similarity(rest[j], rest[m], dim=1)
                    total = total + (cosine - 0.5).relu().square().mean() / (SUBS * (SUBS - 1))
    return _done(total)


def hetkd_orthogonality(sub_logits, student, target):
    return _done(orthogonality_loss(sub_logits, target).sum())


def plain_dkd(student, teacher, target):
    """DKD by masks, -1000 on the true class; alpha 1, beta 8, T 4."""
    true = torch.zeros_like(student).scatter_(1, target[:, None], 1)
    p, q = ((x / 4).softmax(1) for x in (student, teacher))
    pairs = [torch.stack([(x * true).sum(1), (x * (1 - true)).sum(1)], 1) for x in (p, q)]
    tckd = F.kl_div(pairs[0].log(), pairs[1], reduction='batchmean')
    rest = [x / 4 - 1000.0 * true for x in (student, teacher)]
    nckd = F.kl_div(rest[0].log_softmax(1), rest[1].softmax(1), reduction='batchmean')
    return _done(16 * (tckd + 8 * nckd))


def hetkd_dkd(student, teacher, target):
    return _done(dkd_loss(student, teacher, target, 1.0, 8.0, 4.0))


def make_crd(shape):
    """N anchors, and memories of M images: the shape is N x M. Both nets' anchors get a gradient."""
    samples, images = shape
    generator = _seeded()
    anchors = F.normalize(torch.randn(2, samples, WIDTH, generator=generator), dim=2)
    memories = F.normalize(torch.randn(2, images, WIDTH, generator=generator), dim=2)
    index = torch.randint(images, (samples, 1 + NEGATIVES), generator=generator)
    log_z = torch.full((2,), math.log(images))
    return [x.to(DEVICE).requires_grad_(i < 2) for i, x in enumerate((*anchors, *memories, index, log_z))]


def plain_crd(student, teacher, mine, theirs, samples, log_z):
    """CRD's loss with the memory's rows gathered for each sample: N K D numbers."""
    total = 0
    for anchor, memory, z in ((student, theirs, log_z[0]), (teacher, mine, log_z[1])):
        scores = torch.einsum('nkd,nd->nk', memory[samples], anchor) / 0.07
        logit = scores - z - math.log(NEGATIVES / len(memory))
        total = total + F.softplus(-logit[:, 0]).mean() + F.softplus(logit[:, 1:]).sum(1).mean()
    return _done(total)


def hetkd_crd(student, teacher, mine, theirs, samples, log_z):
    return _done(crd_loss(student, teacher, mine, theirs, samples, 0.07, log_z))


SHAPES = [(128, 100), (128, 1000)]
# For each loss: shapes; a function that makes inputs, the first of which gets a gradient; both forms.
LOSSES = {
    'kd': (SHAPES, _logits(None), plain_kd, hetkd_kd),
    'dkd': (SHAPES, _logits(None), plain_dkd, hetkd_dkd),
    'dist': (SHAPES, _logits(None), plain_dist, hetkd_dist),
    'ofa': (SHAPES, _logits(1 + STAGES, None), plain_ofa, hetkd_ofa),
    'rkd': ([(128, 768)], make_rkd, plain_rkd, hetkd_rkd),
    'crd': ([(128, 50_000)], make_crd, plain_crd, hetkd_crd),
    'dfra': (SHAPES, make_dfra, plain_dfra, hetkd_dfra),
    'sub_logit': (SHAPES, _logits(STAGES, None, SUBS), plain_sub_logit, hetkd_sub_logit),
    'orthogonality': (SHAPES, _logits(STAGES, None, SUBS), plain_orthogonality, hetkd_orthogonality),
}
