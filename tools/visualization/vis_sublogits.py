"""Similarity and accuracy of HCD's sub-logits."""

import torch

from hetkd.apis.analysis import Images, open_method
from hetkd.apis.cli import add_picture, add_run, config_of, finish, run_tool, tool_parser
from hetkd.functional import sublogit_cosines
from hetkd.models.distillers import HCD
from hetkd.visualization import sub_logits


def parse_args(argv=None):
    parser = tool_parser(__doc__)
    add_run(parser)
    add_picture(parser)
    return parser.parse_args(argv)


@torch.no_grad()
def measure(model, images):
    """Mean cosines (S n, S n), and accuracies in percent."""
    count, similarity, right = 0, 0, {}
    for batch in images.batches(model, 'sub-logits'):
        student = model.student(batch.inputs, stages=True)
        teacher = model.teacher(batch.inputs, embedding=True)
        raw, fused = model.sub_logits(student, teacher)
        diverse = fused if model.orthogonality_on == 'fused' else raw
        # (N, S n, C): cosines across stages as well.
        together = diverse.permute(1, 0, 2, 3).flatten(1, 2)
        similarity = similarity + sublogit_cosines(together, batch.target).sum(0).double()
        found = dict(fused=fused, raw=raw, student=student.logits, teacher=teacher.logits)
        for name, logits in found.items():
            hits = (logits.argmax(-1) == _beside(batch.target, logits)).double()
            right[name] = right.get(name, 0) + hits.sum(1 if logits.dim() == 4 else 0)
        count += len(batch.target)
    return (similarity / count).cpu(), {name: (100 * x / count).cpu() for name, x in right.items()}


def _beside(target, logits):
    """Classes (N,), as (N, 1) if the logits are sub-logits (S, N, n, C)."""
    return target[:, None] if logits.dim() == 4 else target


def main(argv=None):
    args = parse_args(argv)
    cfg = config_of(args)
    model = open_method(cfg, args.checkpoint, HCD, 'vis_sublogits', args.device)
    similarity, accuracy = measure(model, Images(cfg, args.max_images))
    sub_logits(args.out, similarity.numpy(), **{name: x.numpy() for name, x in accuracy.items()})
    numbers = dict(similarity_of=model.orthogonality_on, similarity=similarity, accuracy=accuracy)
    finish(args.out, numbers, args.show)


if __name__ == '__main__':
    run_tool(main)
