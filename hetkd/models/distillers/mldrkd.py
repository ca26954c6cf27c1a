"""MLDR-KD as an algorithm."""

from typing import Optional

import torch

from hetkd.arguments import Weight
from hetkd.registry import MODELS

from .base import BaseDistiller
from .part import build_part


@MODELS.register_module()
class MLDRKD(BaseDistiller):
    r"""Multi-Level Decoupled Relational Knowledge Distillation (arXiv 2502.06189).

    Source: the authors' released code::

        images --> teacher ---------------------------------> z_t
           \-----> student --> z_s  -- DFRA(z_s, z_t), CE(z_s, y)
                      \--> stages --> StageProjector --> MSDF --> p_1..p_S -- sum of DFRA(p_i, z_t)
                                                            \---> p_f      -- DFRA(p_f, z_t)

    P, the projectors' width, is the larger of the student's last stage and the teacher's embedding. Nothing
    on the student's side is detached; inference is the plain student.

    Args:
        dfra: config of the loss; default ``dict(type='DFRALoss', temperature=1.0, alpha=2.0)``.
        projector: config of the stage projector; default ``dict(type='StageProjector')``.
        fusion: config of the fusion; default ``dict(type='MSDF')``.
        logit_weight: weight of DFRA on the student's logits.
        stage_weight: weight of the sum of DFRA over the stages' logits.
        fused_weight: weight of DFRA on the fused logits.
        **kwargs: see :class:`BaseDistiller`.

    Raises:
        UserError: as :class:`BaseDistiller`; also if the student gives no stages.
    """

    student_needs = ('stages',)

    def __init__(
        self,
        dfra: Optional[dict] = None,
        projector: Optional[dict] = None,
        fusion: Optional[dict] = None,
        logit_weight: Weight = 1.0,
        stage_weight: Weight = 1.0,
        fused_weight: Weight = 1.0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.dfra = build_part(dfra, dict(type='DFRALoss'))
        self.weights = dict(logit=logit_weight, stage=stage_weight, fused=fused_weight)
        self.projector = self.build_projector(projector)
        self.fusion = self.build_on_stages(fusion, 'MSDF', self.projector)

    @property
    def num_compared(self) -> int:
        """How many logits are compared with the teacher's."""
        return 2 + len(self.projector.projections)

    def connect(self, student):
        """Own, fused and stage logits, stacked (2 + S, N, C), and the fusion's weights (S, N, C)."""
        fusion = self.fusion(self.projector(student.stages))
        return torch.cat([student.logits[None], fusion.fused[None], fusion.stage_logits]), fusion.weights

    def distill(self, student, teacher, target):
        """DFRA on the logits, on each stage and on the fused logits; the mean weight of each stage."""
        logits, weights = student
        # One call for all comparisons: the teacher's relations are computed once.
        losses = self.dfra(logits, teacher.logits, target)
        means = weights.detach().float().mean((1, 2))
        return {
            'loss_dfra_logit': self.weights['logit'] * losses[0],
            'loss_dfra_fused': self.weights['fused'] * losses[1],
            'loss_dfra_stage': self.weights['stage'] * losses[2:].sum(),
            **{f'msdf_weight_{i}': mean for i, mean in enumerate(means, 1)},
        }
