"""Class relations of teacher and student, as compared by MLDR-KD, and their difference."""

import torch

from hetkd.apis.analysis import Images, both_logits, open_run, teacher_of
from hetkd.apis.cli import add_picture, add_run, config_of, finish, run_tool, tool_parser
from hetkd.functional import mean_relation, relation_kl
from hetkd.visualization import Panel, heat_maps


def parse_args(argv=None):
    parser = tool_parser(__doc__)
    add_run(parser)
    add_picture(parser)
    parser.add_argument('--temperature', type=float, default=1.0, help='of the logits')
    return parser.parse_args(argv)


def main(argv=None):
    args = parse_args(argv)
    cfg = config_of(args)
    model = open_run(cfg, args.checkpoint, args.device)
    images = Images(cfg, args.max_images)
    outputs = both_logits(model, teacher_of(model, 'vis_relations'), images)
    classes = outputs.student.shape[1]
    student, teacher = (x / args.temperature for x in outputs[:2])
    relations = [mean_relation(x, classes**-0.5) for x in (teacher, student)]
    difference = relations[1] - relations[0]
    numbers = dict(
        teacher=relations[0],
        student=relations[1],
        difference=difference,
        class_relation_kl=float(relation_kl(student[None], teacher, classes**-0.5)),
    )
    # The diagonal is by far the largest, so the colours are scaled to the other entries.
    others = torch.stack(relations)[:, ~torch.eye(classes, dtype=torch.bool)]
    limits, bound = (float(others.min()), float(others.max())), float(difference.abs().max())
    panels = [
        Panel('teacher', relations[0].numpy(), limits),
        Panel('student', relations[1].numpy(), limits),
        Panel('student - teacher', difference.numpy(), (-bound, bound)),
    ]
    names = images.names(classes)
    heat_maps(args.out, panels, 'class', 'related class', names, names)
    finish(args.out, numbers, args.show)


if __name__ == '__main__':
    run_tool(main)
