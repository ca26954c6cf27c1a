"""Inputs and two implementations of each loss, plain and hetkd's, for losses.py."""

import math

import torch
import torch.nn.functional as F
from measure import DEVICE

from hetkd.functional import crd_loss, dkd_loss, ofa_loss, orthogonality_loss, sublogit_ce, sublogit_kl

STAGES, SUBS, NEGATIVES, WIDTH, IMAGES = 4, 4, 4096, 128, 50_000


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
    """DKD by masks of -1000, as in common code; alpha 1, beta 8, T 4."""
    true = F.one_hot(target, student.shape[1]).bool()
    p, q = ((x / 4).softmax(1) for x in (student, teacher))
    pairs = [torch.stack([x[true], 1 - x[true]], 1) for x in (p, q)]
    tckd = F.kl_div(pairs[0].log(), pairs[1], reduction='batchmean')
    rest = [x / 4 - 1000.0 * true for x in (student, teacher)]
    nckd = F.kl_div(rest[0].log_softmax(1), rest[1].softmax(1), reduction='batchmean')
    return _done(16 * (tckd + 8 * nckd))


def hetkd_dkd(student, teacher, target):
    return _done(dkd_loss(student, teacher, target, 1.0, 8.0, 4.0))


def make_crd(shape):
    """CRD's inputs: N anchors, memories of CIFAR-100's 50,000 images, 4,096 negatives; C is not used."""
    samples, generator = shape[0], _seeded()
    anchors = F.normalize(torch.randn(2, samples, WIDTH, generator=generator), dim=2)
    memories = F.normalize(torch.randn(2, IMAGES, WIDTH, generator=generator), dim=2)
    index = torch.randint(IMAGES, (samples, 1 + NEGATIVES), generator=generator)
    log_z = torch.full((2,), math.log(IMAGES))
    inputs = anchors[0].clone(), anchors[1], *memories, index, log_z
    inputs = [x.to(DEVICE) for x in inputs]
    inputs[0].requires_grad_()
    return inputs


def plain_crd(student, teacher, mine, theirs, samples, log_z):
    """CRD's loss with the memory's rows gathered for each sample: N K D numbers."""
    total = 0
    for anchor, memory, z in ((student, theirs, log_z[0]), (teacher, mine, log_z[1])):
        scores = torch.einsum('nkd,nd->nk', memory[samples], anchor) / 0.07
        logit = scores - z - math.log(NEGATIVES / IMAGES)
        total = total + F.softplus(-logit[:, 0]).mean() + F.softplus(logit[:, 1:]).sum(1).mean()
    return _done(total)


def hetkd_crd(student, teacher, mine, theirs, samples, log_z):
    return _done(crd_loss(student, teacher, mine, theirs, samples, 0.07, log_z))


OTHERS = {
    'ofa': (_logits(1 + STAGES, None), plain_ofa, hetkd_ofa),
    'sub_logit': (_logits(STAGES, None, SUBS), plain_sub_logit, hetkd_sub_logit),
    'orthogonality': (_logits(STAGES, None, SUBS), plain_orthogonality, hetkd_orthogonality),
    'dkd': (_logits(None), plain_dkd, hetkd_dkd),
    'crd': (make_crd, plain_crd, hetkd_crd),
}
