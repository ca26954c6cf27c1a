"""Agreement of student and teacher, which of them is right, and their calibration."""

import torch

from hetkd.apis.analysis import Images, as_seen, both_logits, open_run, teacher_of
from hetkd.apis.cli import add_picture, add_run, config_of, finish, run_tool, tool_parser
from hetkd.functional import GROUPS, calibration_bins, calibration_error, kl_of_each, who_is_right
from hetkd.visualization import Tile, contact_sheet, reliability


def parse_args(argv=None):
    parser = tool_parser(__doc__)
    add_run(parser)
    add_picture(parser)
    parser.add_argument('--num-bins', type=int, default=15, help='bins of confidence')
    parser.add_argument('--show-dir', help='folder for a sheet of the images with the largest KL divergence')
    parser.add_argument('--topk', type=int, default=20, help='number of images on it')
    return parser.parse_args(argv)


def numbers_of(logits, target, num_bins):
    """Accuracy, ECE and calibration bins of one net."""
    scores = logits.softmax(1)
    bins = calibration_bins(scores, target, num_bins)
    return dict(
        accuracy=100 * float((logits.argmax(1) == target).float().mean()),
        ece=100 * float(calibration_error(scores, target, num_bins)),
        **bins._asdict(),
    )


def draw_most_different(args, cfg, model, outputs, names):
    """Write a sheet of the images with the largest KL divergence."""
    kl = kl_of_each(outputs.student, outputs.teacher)
    places = kl.argsort(descending=True)[: args.topk].tolist()
    index = [outputs.index[i] for i in places]
    images = Images(cfg, indices=index)
    views = [view for batch in images.batches(model, 'pictures') for view in as_seen(model, batch.inputs)]
    tiles = [
        Tile(
            view,
            f'true {names[outputs.target[i]]}\nteacher {names[outputs.teacher[i].argmax()]}\n'
            f'student {names[outputs.student[i].argmax()]}\nKL {kl[i]:.2f}',
        )
        for view, i in zip(views, places)
    ]
    path = f'{args.show_dir}/most_different.png'
    contact_sheet(path, tiles)
    finish(path, dict(sample_idx=index, kl=kl[places]))


def main(argv=None):
    args = parse_args(argv)
    cfg = config_of(args)
    model = open_run(cfg, args.checkpoint, args.device)
    images = Images(cfg, args.max_images)
    outputs = both_logits(model, teacher_of(model, 'agreement'), images)
    counts = torch.bincount(who_is_right(*outputs[:3]), minlength=len(GROUPS))
    groups = dict(zip(GROUPS, counts.tolist()))
    nets = {
        name: numbers_of(logits, outputs.target, args.num_bins)
        for name, logits in (('teacher', outputs.teacher), ('student', outputs.student))
    }
    same = outputs.student.argmax(1) == outputs.teacher.argmax(1)
    numbers = dict(
        images=len(same),
        agreement=100 * float(same.float().mean()),
        kl=float(kl_of_each(outputs.student, outputs.teacher).mean()),
        groups=groups,
        **nets,
    )
    reliability(args.out, nets, groups)
    finish(args.out, numbers, args.show)
    if args.show_dir:
        draw_most_different(args, cfg, model, outputs, images.names(outputs.student.shape[1]))


if __name__ == '__main__':
    run_tool(main)
