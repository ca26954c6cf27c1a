"""Export the student to ONNX or torch.export, check it on test images, compare its cost with the teacher's.

The exported net takes images (N, 3, H, W), uint8, RGB, of the size of the test images, and returns logits
(N, C); normalisation is part of it. OUT.json is written beside it: class names, the short side to resize to
before the centre crop (null: resize directly to the size; absent: another way), largest difference, and the
table.
"""

import argparse
import json
import os
import re
import tempfile

import torch

from hetkd.apis.cli import add_config, add_out, config_of, run_tool, tool_parser
from hetkd.apis.deploy import EXAMPLES, FORMATS, build_deployed, build_teacher, check_images, latencies
from hetkd.apis.student import image_by_image
from hetkd.datasets.transforms import resize_filter
from hetkd.errors import UserError
from hetkd.models.nets.checkpoint import read_weights
from hetkd.utils.whole_file import write_whole

ENDINGS = {ending: name for name, (*_, ending) in FORMATS.items()}


def parse_args(argv=None):
    parser = tool_parser(__doc__)
    add_config(parser)
    parser.add_argument('checkpoint', help="checkpoint of the run, or its exported student's file")
    add_out(parser, *ENDINGS, text='the exported student')
    parser.add_argument('--format', choices=FORMATS, help=argparse.SUPPRESS)  # it follows from --out
    parser.add_argument('--opset', type=int, help="ONNX opset; default: torch's")
    parser.add_argument('--images', type=int, default=64, help='number of test images for the check')
    parser.add_argument('--tolerance', type=float, default=1e-3, help='largest allowed difference of a logit')
    parser.add_argument('--repeats', type=int, default=50, help='runs for each median latency')
    args = parser.parse_args(argv)
    if args.images < 1:
        parser.error(f'--images: expected at least 1, got {args.images}')
    name = next(name for ending, name in ENDINGS.items() if args.out.endswith(ending))
    if args.format not in (None, name):
        suffix = FORMATS[args.format][2]
        parser.error(f'--out: expected a name that ends in {suffix}, got {args.out}')
    args.format = name
    return args


def cost(path, model):
    """Parameters of a net and size of its file."""
    return {
        'parameters': sum(x.numel() for x in model.parameters()),
        'file_mib': os.path.getsize(path) / 2**20,
    }


def image_of(model, images):
    """One image, resized if the net has its own input size."""
    size = model.net.input_spec.size or images.shape[2:]
    return torch.nn.functional.interpolate(images[:1].float(), size=tuple(size)).to(torch.uint8)


def checked(run, images, expected, tolerance):
    """The largest difference of a logit; exits if it is above the tolerance."""
    difference = (run(images) - expected).abs().max().item()
    print(f'largest difference of a logit on {len(images)} test images: {difference:.2e}')
    if not difference <= tolerance:
        raise UserError(
            'export',
            f'the logits of the checkpoint within {tolerance:g}',
            f'a difference of {difference:.2e}',
            'nothing is written; try another kind of file or --opset',
        )
    return difference


def compare(models, paths, images, load, repeats):
    """Parameters, file size and latency of each net, in the same format and runtime."""
    inputs = {name: image_of(model, images) for name, model in models.items()}
    medians = latencies({name: load(path) for name, path in paths.items()}, inputs, repeats=repeats)
    return {
        name: cost(paths[name], model) | {f'batch_{n}_ms': x for n, x in medians[name].items()}
        for name, model in models.items()
    }


def text(table):
    lines = ['| | parameters, M | file, MiB | batch 1, ms | batch 16, ms |', '|---|---|---|---|---|']
    for name, row in table.items():
        numbers = [row['parameters'] / 1e6, row['file_mib'], row['batch_1_ms'], row['batch_16_ms']]
        lines.append(f'| {name} | {" | ".join(f"{x:.3g}" for x in numbers)} |')
    return '\n'.join(lines)


def export_all(args, cfg, folder):
    """Export student and teacher to the folder; returns the student's path and the record."""
    export, load, suffix = FORMATS[args.format]
    paths = {name: f'{folder}/{name}{suffix}' for name in ('teacher', 'student')}
    student, classifier = build_deployed(cfg, args.checkpoint)
    images, expected = check_images(cfg, classifier, args.images)
    export(student, images, paths['student'], args.opset)
    difference = checked(load(paths['student']), images, expected, args.tolerance)
    models = {'teacher': build_teacher(cfg, classifier), 'student': student}
    try:
        if models['teacher'] is not None:
            teacher_images = image_of(models['teacher'], images).repeat(EXAMPLES, 1, 1, 1)
            export(models['teacher'], teacher_images, paths['teacher'], args.opset)
    except UserError as error:  # the student's file is valid all the same
        print(f'teacher left out: {error}')
    models = {name: model for name, model in models.items() if os.path.exists(paths[name])}
    table = compare(models, {name: paths[name] for name in models}, images, load, args.repeats)
    return paths['student'], dict(input=list(images.shape[1:]), difference=difference, table=table)


def resizing_of(pipeline):
    """What the record says of an image's way to the size; nothing of one that it has no words for."""
    steps = [x for x in pipeline if re.search('Resize|Crop|Pad', str(x.type))]
    names = [x.type for x in steps]
    if names == ['ResizeEdge', 'CenterCrop'] and steps[0].get('edge', 'short') == 'short':
        return dict(resize_short=steps[0].scale)
    if not names or (names == ['Resize'] and not steps[0].get('keep_ratio')):
        return dict(resize_short=None)
    print(f'the record does not say how to resize images: prepare them as the test does, {names}')
    return {}


def main(argv=None):
    args = parse_args(argv)
    cfg = config_of(args)
    target = os.path.dirname(os.path.abspath(args.out))
    os.makedirs(target, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target) as folder:
        path, record = export_all(args, cfg, folder)
        os.replace(path, args.out)
    threads = torch.get_num_threads()
    print(f'{text(record["table"])}\nmedian of {args.repeats} runs; CPU threads: {threads}')
    record |= dict(format=args.format, threads=threads, classes=read_weights(args.checkpoint).classes)
    pipeline = image_by_image(cfg).test_dataloader.dataset.pipeline
    record |= resizing_of(pipeline)
    record['interpolation'] = resize_filter(pipeline)
    write_whole(args.out + '.json', json.dumps(record, indent=2))
    print(f'written: {args.out}, {args.out}.json')


if __name__ == '__main__':
    run_tool(main)
