"""The usual form of a training step, in plain PyTorch, for step.py.

It has the distiller's nets and connectors, in float32 and in the memory format that images come in, averages
maps after projecting them, and has the losses of forms.py. These are ours, after the algorithms that released
code and other toolboxes use.
"""

import torch
import torch.nn.functional as F
from forms import make_crd, plain_crd, plain_dfra, plain_dist, plain_dkd, plain_kd, plain_ofa

from hetkd.models.nets.contract import asked

IMAGES = 50_000  # in CRD's memories


def usual_step(method, model, images, target):
    """A function that computes all gradients of a step; None for a method without a usual form here."""
    if method not in METHODS:
        return None
    connect, loss = METHODS[method](len(images))
    needs, wanted = asked(model.teacher_needs), dict.fromkeys(model.student_needs, True)

    def gradients():
        teacher = model.teacher(images, **needs)
        student = model.run_student(images, **wanted)
        compared = connect(model, student, teacher)
        # The forms take the gradient themselves.
        leaves = [x.detach().requires_grad_() for x in compared]
        loss(*leaves, teacher, target)
        label_loss = F.cross_entropy(student.logits, target)
        torch.autograd.backward([label_loss, *compared], [None, *(x.grad for x in leaves)])

    return gradients


def _on_logits(plain):
    """KD and its like."""

    def build(_):
        return (
            lambda model, student, teacher: [student.logits],
            lambda logits, teacher, target: plain(logits, teacher.logits, target),
        )

    return build


def _descriptors(model, student):
    projections = model.projector.projections
    return [project(x).mean((2, 3)) for project, x in zip(projections, student.stages, strict=True)]


def _ofa(_):
    def connect(model, student, teacher):
        return [torch.cat([student.logits[None], model.heads(_descriptors(model, student))])]

    return connect, lambda logits, teacher, target: plain_ofa(logits, teacher.logits, target)


def _mldrkd(_):
    def connect(model, student, teacher):
        fusion = model.fusion(_descriptors(model, student))
        return [torch.cat([student.logits[None], fusion.fused[None], fusion.stage_logits])]

    return connect, lambda logits, teacher, target: plain_dfra(logits, teacher.logits)


def _crd(samples):
    _, _, *memories, index, log_z = make_crd((samples, IMAGES))
    return (
        lambda model, student, teacher: model.embedding_matcher(student.embedding, teacher.embedding),
        lambda mine, theirs, teacher, target: plain_crd(mine, theirs, *memories, index, log_z),
    )


METHODS = dict(
    kd=_on_logits(plain_kd), dkd=_on_logits(plain_dkd), dist=_on_logits(plain_dist), ofa=_ofa,
    mldrkd=_mldrkd, crd=_crd,
)  # fmt: skip
