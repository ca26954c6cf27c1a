"""Prepare a checkpoint for publishing: the student alone, with its SHA-256 in the file name."""

from hetkd.apis import publish_student
from hetkd.apis.cli import add_out, run_tool, tool_parser


def main(argv=None):
    parser = tool_parser(__doc__)
    parser.add_argument('checkpoint', help='checkpoint of a run, or an exported student')
    add_out(parser, '.pth', old=['out'], text='NAME.pth, written as NAME-DIGEST.pth')
    args = parser.parse_args(argv)
    print(f'written: {publish_student(args.checkpoint, args.out)}')


if __name__ == '__main__':
    run_tool(main)
