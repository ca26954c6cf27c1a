"""Rewrite a checkpoint of mmengine or mmpretrain in plain values, as hetkd reads them.

Code in the file is run: for checkpoints of your own runs only.
"""

import torch

from hetkd.apis.cli import add_out, run_tool, tool_parser
from hetkd.engine.plain_values import plain
from hetkd.utils.whole_file import written_whole


def main(argv=None):
    parser = tool_parser(__doc__)
    parser.add_argument('checkpoint', help='a checkpoint of your own run')
    add_out(parser, '.pth', old=['out'], text='file to write; the same name replaces it')
    args = parser.parse_args(argv)
    content = torch.load(args.checkpoint, map_location='cpu', weights_only=False)
    with written_whole(args.out) as file:
        torch.save(plain(content), file)
    print(f'written: {args.out}')


if __name__ == '__main__':
    run_tool(main)
