"""Prepare a checkpoint for publishing: the student alone, with its SHA-256 in the file name."""

import argparse

from hetkd.apis import publish_student
from hetkd.apis.cli import run_tool


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('in_file', help='checkpoint of a run, or an exported student')
    parser.add_argument('out_file', help='NAME.pth; NAME-DIGEST.pth is written')
    args = parser.parse_args(argv)
    print(f'Published: {publish_student(args.in_file, args.out_file)}')


if __name__ == '__main__':
    run_tool(main)
