"""CKA heat maps between the stages of teacher and student, before and after distillation, or of two runs."""

from pathlib import Path

import torch

from hetkd.apis.analysis import Images, open_run, teacher_of
from hetkd.apis.cli import add_config, add_images, add_picture, config_of, finish, run_tool, tool_parser
from hetkd.functional import linear_cka
from hetkd.models.nets.base import RANDOM
from hetkd.visualization import Panel, heat_maps


def parse_args(argv=None):
    parser = tool_parser(__doc__)
    add_config(parser)
    parser.add_argument(
        'checkpoints',
        nargs='+',
        help="checkpoints or exported students, one per heat map; 'random' is the student before training",
    )
    add_images(parser)
    add_picture(parser)
    return parser.parse_args(argv)


@torch.no_grad()
def stages(images, teacher, models):
    """Per batch: the teacher's stages, and those of all students in one list."""
    for batch in images.batches(models[0], 'stages'):
        if len(batch.index) < 4:  # a last batch too small for the unbiased estimate
            continue
        found = [x for model in models for x in model.student(batch.inputs, stages=True).stages]
        yield teacher(batch.inputs, stages=True).stages, found


def main(argv=None):
    args = parse_args(argv)
    cfg = config_of(args)
    models = [open_run(cfg, path, args.device) for path in args.checkpoints]
    teacher = teacher_of(models[0], 'vis_cka', classifies=False)
    values = linear_cka(stages(Images(cfg, args.max_images), teacher, models)).cpu()
    parts = values.chunk(len(models), dim=1)
    before_and_after = len(models) == 2 and args.checkpoints[0] == RANDOM != args.checkpoints[1]
    short = ['/'.join(Path(x).with_suffix('').parts[-2:]) for x in args.checkpoints]
    names = short if len(set(short)) == len(short) else args.checkpoints
    names = ['before', 'after'] if before_and_after else names
    panels = [
        Panel(f'{name}: mean {part.mean():.2f}', part.numpy(), (0, 1)) for name, part in zip(names, parts)
    ]
    labels = [[str(i) for i in range(1, size + 1)] for size in (parts[0].shape[1], len(values))]
    heat_maps(args.out, panels, 'student stage', 'teacher stage', *labels)
    numbers = dict(checkpoints=args.checkpoints, rows='teacher stages', columns='student stages', cka=parts)
    finish(args.out, numbers, args.show)


if __name__ == '__main__':
    run_tool(main)
