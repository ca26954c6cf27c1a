"""HCD as an algorithm."""

from typing import Optional

import torch

from hetkd.arguments import Finite
from hetkd.errors import UserError
from hetkd.functional import sublogit_cosines
from hetkd.functional.orthogonality import mean_off_diagonal
from hetkd.registry import MODELS

from .base import BaseDistiller
from .part import build_part


@MODELS.register_module()
class HCD(BaseDistiller):
    r"""Heterogeneous Complementary Distillation (arXiv 2511.10942).

    Source: the paper's abstract; details second-hand, from a third-party port::

        images --> teacher --> z_t, embedding f_t
           \-----> student --> z_s -- CE(z_s, y), KD(z_s, z_t)
                      \--> stages --> StageProjector --> CFM with f_t --> q_ij
                s_ij = lambda_s q_ij + lambda_t z_t -- SubLogitLoss(z_s, s_ij, y), OrthogonalityLoss(s_ij, y)

    P, the projectors' width, is the larger of the student's last stage and the teacher's embedding.

    Args:
        kd: config of the loss on logits; default ``dict(type='KDLoss', temperature=1.0)``.
        projector: config; default ``dict(type='StageProjector', final_bias=True)``.
        mapper: config; default ``dict(type='CFM', num_sub_logits=4, num_layers=2)``.
        sub_logit: config; default ``dict(type='SubLogitLoss')``.
        orthogonality: config; default ``dict(type='OrthogonalityLoss')``.
        student_lambda, teacher_lambda: lambda_s and lambda_t, both 1.
        orthogonality_on: ``'fused'`` (s, the default) or ``'raw'`` (q).
        **kwargs: see :class:`BaseDistiller`.

    Raises:
        UserError: as :class:`BaseDistiller`; also if the student gives no stages, or ``orthogonality_on`` is
            something else.
    """

    student_needs = ('stages',)
    teacher_needs = ('logits', 'embedding')

    def __init__(
        self,
        kd: Optional[dict] = None,
        projector: Optional[dict] = None,
        mapper: Optional[dict] = None,
        sub_logit: Optional[dict] = None,
        orthogonality: Optional[dict] = None,
        student_lambda: Finite = 1.0,
        teacher_lambda: Finite = 1.0,
        orthogonality_on: str = 'fused',
        **kwargs,
    ):
        super().__init__(**kwargs)
        if orthogonality_on not in ('fused', 'raw'):
            raise UserError('orthogonality_on', "'fused' or 'raw'", repr(orthogonality_on))
        self.kd = build_part(kd, dict(type='KDLoss', temperature=1.0))
        self.sub_logit = build_part(sub_logit, dict(type='SubLogitLoss'))
        self.orthogonality = build_part(orthogonality, dict(type='OrthogonalityLoss'))
        self.lambdas = (student_lambda, teacher_lambda)
        self.orthogonality_on = orthogonality_on
        self.projector = self.build_projector(projector, final_bias=True)
        self.mapper = self.build_on_stages(
            mapper, 'CFM', self.projector, teacher_channels=self.teacher.embedding_channels
        )

    def sub_logits(self, student, teacher) -> tuple[torch.Tensor, torch.Tensor]:
        """q and s, (S, N, n, C) each."""
        raw = self.mapper(self.projector(student.stages), teacher.embedding)
        return raw, self.lambdas[0] * raw + self.lambdas[1] * teacher.logits[:, None, :]

    def distill(self, student, teacher, target):
        """KD on the logits, SDD and orthogonality on the sub-logits; their mean cosine."""
        raw, fused = self.sub_logits(student, teacher)
        diverse = fused if self.orthogonality_on == 'fused' else raw
        with torch.no_grad():
            similarity = mean_off_diagonal(sublogit_cosines(diverse, target)).mean()
        return {
            'loss_kd': self.kd(student.logits, teacher.logits, target),
            'loss_sub_logit': self.sub_logit(student.logits, fused, target),
            'loss_orthogonality': self.orthogonality(diverse, target),
            'sub_logit_similarity': similarity,
        }
