"""The most confident correct and wrong predictions of a student."""

from hetkd.apis.analysis import Images, as_seen, open_student
from hetkd.apis.cli import add_config, add_out, config_of, finish, run_tool, tool_parser
from hetkd.evaluation import read_predictions
from hetkd.models.nets.base import RANDOM
from hetkd.visualization import Tile, contact_sheet


def parse_args(argv=None):
    parser = tool_parser(__doc__)
    add_config(parser)
    parser.add_argument('result', help='predictions of tools/test.py --out FILE.npz')
    add_out(parser, old=['--out-dir'], text='folder for success.png and fail.png')
    parser.add_argument('--topk', type=int, default=20, help='number of images in each')
    return parser.parse_args(argv)


def sheet(path, cfg, model, results):
    """Write a sheet of images with their true and predicted classes."""
    images = Images(cfg, indices=[x['sample_idx'] for x in results])
    names = images.names(model.student.num_classes)
    views = [view for batch in images.batches(model, path) for view in as_seen(model, batch.inputs)]
    tiles = [
        Tile(
            view,
            f'true {names[int(x["gt_label"])]}\n{names[int(x["pred_label"])]}: {x["pred_score"].max():.2f}',
        )
        for view, x in zip(views, results)
    ]
    contact_sheet(path, tiles)
    keys = ('sample_idx', 'gt_label', 'pred_label', 'pred_score')
    finish(path, dict(images=[{key: x[key] for key in keys} for x in results]))


def main(argv=None):
    args = parse_args(argv)
    cfg = config_of(args)
    model = open_student(cfg, RANDOM, 'cpu')  # only to prepare the images
    results = sorted(read_predictions(args.result), key=lambda x: -float(x['pred_score'].max()))
    right = [bool(x['pred_label'] == x['gt_label']) for x in results]
    for name, wanted in (('success', True), ('fail', False)):
        chosen = [x for x, is_right in zip(results, right) if is_right == wanted][: args.topk]
        if chosen:
            sheet(f'{args.out}/{name}.png', cfg, model, chosen)
        else:
            print(f'{name}: none of {len(results)} predictions')


if __name__ == '__main__':
    run_tool(main)
