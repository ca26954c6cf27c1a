"""Precompute a teacher's outputs, so that students train without it."""

import os.path as osp

from hetkd.apis.cli import add_config, config_of, run_tool, tool_parser
from hetkd.apis.launch import LOADERS, complete_loaders
from hetkd.teacher_cache import write_cache


def parse_args(argv=None):
    parser = tool_parser(__doc__)
    add_config(parser, 'config file of a distillation run')
    parser.add_argument('--out', help='folder of the cache; default: caches/<name of the config>')
    parser.add_argument('--views', type=int, default=10, help='views of each image')
    parser.add_argument('--seed', type=int, default=0, help='random seed of the views')
    parser.add_argument('--top-k', type=int, default=0, help='keep the k largest logits of an image only')
    parser.add_argument('--embedding', action='store_true', help='keep embeddings, whatever the method reads')
    parser.add_argument(
        '--processes', type=int, default=1, help='processes that will train (counts where images are mixed)'
    )
    return parser.parse_args(argv)


def main(argv=None):
    args = parse_args(argv)
    cfg = config_of(args)
    complete_loaders(cfg, LOADERS)
    out = args.out or osp.join('caches', osp.splitext(osp.basename(args.config))[0])
    cache = write_cache(cfg, out, args.views, args.seed, args.top_k, args.embedding, args.processes)
    size = sum(x.stat().st_size for x in cache.folder.glob('*.npy'))
    print(f'{out}: {args.views} views of {cache.header["images"]:,} images, {size / 2**20:,.1f} MiB')


if __name__ == '__main__':
    run_tool(main)
