"""Classify an image with a student: a distiller's checkpoint or an exported file."""

import argparse

from mmengine.fileio import dump

from hetkd.apis import inference_model, init_model
from hetkd.apis.cli import run_tool


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('img', help='image file')
    parser.add_argument('config', help="config of the run, also hetkd::METHOD/NAME, or an exported student's")
    parser.add_argument('checkpoint', help='checkpoint of the run, or the exported student')
    parser.add_argument('--show', action='store_true', help='show the prediction in a window')
    parser.add_argument('--show-dir', help='folder for the image with the prediction on it')
    parser.add_argument('--device', help='device of the student; default: the CPU')
    args = parser.parse_args(argv)
    model = init_model(args.config, args.checkpoint, device=args.device)
    result = inference_model(model, args.img, show=args.show, show_dir=args.show_dir)
    result.pop('pred_scores')
    print(dump(result, file_format='json', indent=4))


if __name__ == '__main__':
    run_tool(main)
