"""OFA-KD as an algorithm."""

from typing import Optional

import torch

from hetkd.arguments import Weight
from hetkd.registry import MODELS

from .base import BaseDistiller
from .part import build_part


@MODELS.register_module()
class OFA(BaseDistiller):
    """One-for-All knowledge distillation (arXiv 2310.19444).

    The student's stages are projected into the teacher's logit space. The loss compares the logits of each
    stage, and the student's own, with the teacher's::

        images --> teacher ---------------------------------> z_t
           \\-----> student --> z_s  -- OFALoss(z_s, z_t, y), CE(z_s, y)
                      \\--> stages --> StageProjector --> StageHeads --> p_i -- sum of OFALoss(p_i, z_t, y)

    Args:
        ofa: config of the loss; default ``dict(type='OFALoss', eps=1.0, temperature=1.0)``.
        projector: config; default ``dict(type='StageProjector')``.
        heads: config; default ``dict(type='StageHeads')``.
        logit_weight: weight of the loss on the student's own logits.
        stage_weight: weight of the sum of the stages' losses.
        **kwargs: see :class:`BaseDistiller`.

    Raises:
        UserError: as :class:`BaseDistiller`; also if the student gives no stages.
    """

    student_needs = ('stages',)

    def __init__(
        self,
        ofa: Optional[dict] = None,
        projector: Optional[dict] = None,
        heads: Optional[dict] = None,
        logit_weight: Weight = 1.0,
        stage_weight: Weight = 1.0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.ofa = build_part(ofa, dict(type='OFALoss'))
        self.weights = dict(logit=logit_weight, stage=stage_weight)
        self.projector = self.build_projector(projector)
        self.heads = self.build_on_stages(heads, 'StageHeads', self.projector)

    def connect(self, student):
        """Own and stage logits, stacked (1 + S, N, C)."""
        return torch.cat([student.logits[None], self.heads(self.projector(student.stages))])

    def distill(self, student, teacher, target):
        """The loss on the logits and on each stage's."""
        losses = self.ofa(student, teacher.logits, target)
        return {
            'loss_ofa_logit': self.weights['logit'] * losses[0],
            'loss_ofa_stage': self.weights['stage'] * losses[1:].sum(),
        }
