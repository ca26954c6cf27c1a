"""Classify an image with a student: a distiller's checkpoint or an exported file."""

import os.path as osp

from mmengine.fileio import dump

from hetkd.apis import inference_model, init_model
from hetkd.apis.cli import add_image, image_first, run_tool, tool_parser
from hetkd.errors import UserError


def main(argv=None):
    parser = tool_parser(__doc__)
    parser.add_argument('config', help="config of the run, also hetkd::METHOD/NAME, or an exported student's")
    parser.add_argument('checkpoint', help='checkpoint of the run, or the exported student')
    add_image(parser, 'image file')
    parser.add_argument('--show', action='store_true', help='show the prediction in a window')
    parser.add_argument('--show-dir', help='folder for the image with the prediction on it')
    parser.add_argument('--device', help='device of the student; default: the CPU')
    args = image_first(parser, parser.parse_args(argv))
    if not osp.isfile(args.image):
        raise UserError('--image', f'an image file at {osp.abspath(args.image)}', 'none', 'check the path')
    model = init_model(args.config, args.checkpoint, device=args.device)
    result = inference_model(model, args.image, show=args.show, show_dir=args.show_dir)
    result.pop('pred_scores')
    print(dump(result, file_format='json', indent=4))


if __name__ == '__main__':
    run_tool(main)
