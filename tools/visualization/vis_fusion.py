"""Stage weights of MLDR-KD's fusion (MSDF), by class and by sample."""

import torch

from hetkd.apis.analysis import Images, open_method
from hetkd.apis.cli import add_picture, add_run, config_of, finish, run_tool, tool_parser
from hetkd.models.distillers import MLDRKD
from hetkd.visualization import fusion_weights


def parse_args(argv=None):
    parser = tool_parser(__doc__)
    add_run(parser)
    add_picture(parser)
    return parser.parse_args(argv)


@torch.no_grad()
def weights_of(model, images):
    """MSDF's weights (S, N, C), true classes (N,) and indices in the data set."""
    weights, target, index = [], [], []
    for batch in images.batches(model, 'weights'):
        weights.append(model.connect(model.student(batch.inputs, stages=True))[1].float().cpu())
        target.append(batch.target.cpu())
        index += batch.index
    return torch.cat(weights, 1), torch.cat(target), index


def main(argv=None):
    args = parse_args(argv)
    cfg = config_of(args)
    model = open_method(cfg, args.checkpoint, MLDRKD, 'vis_fusion', args.device)
    images = Images(cfg, args.max_images)
    weights, target, index = weights_of(model, images)
    fusion_weights(args.out, weights.numpy(), target.numpy(), images.names(weights.shape[2]))
    numbers = dict(
        stage=weights.mean((1, 2)),
        stage_by_class=weights.mean(1),
        stage_by_sample=weights.mean(2),
        target=target,
        sample_idx=index,
    )
    finish(args.out, numbers, args.show)


if __name__ == '__main__':
    run_tool(main)
