"""Grad-CAM of a student, and of its teacher if wanted."""

from pathlib import Path

import mmcv
from mmcv.transforms import Compose
from mmengine.dataset import default_collate

from hetkd.apis.analysis import Images, as_seen, open_run, open_student, teacher_of
from hetkd.apis.cli import (
    add_config,
    add_image,
    add_picture,
    config_of,
    finish,
    image_first,
    run_tool,
    tool_parser,
)
from hetkd.apis.student import image_by_image, reads_files
from hetkd.errors import UserError
from hetkd.functional import grad_cam
from hetkd.registry import TRANSFORMS
from hetkd.visualization import Tile, image_grid


def parse_args(argv=None):
    parser = tool_parser(__doc__)
    add_config(parser)
    parser.add_argument('checkpoint', help="checkpoint of the run, or its exported student's file")
    add_image(parser, 'image file, or the index of an image of the test set')
    parser.add_argument('--teacher', action='store_true', help='also draw the teacher')
    parser.add_argument(
        '--stage', type=int, help='1 is the shallowest; default: the deepest with a non-zero map'
    )
    parser.add_argument(
        '--target-category', type=int, help="class to explain; default: each net's prediction"
    )
    parser.add_argument('--device', default='cpu', help='of the nets')
    add_picture(parser, '--save-path')
    return image_first(parser, parser.parse_args(argv))


def load(args, cfg, model):
    """The image (1, 3, H, W), normalised for the student, and the class names."""
    if args.image.isdigit():
        images = Images(cfg, indices=[int(args.image)])
        (batch,) = images.batches(model, 'image')
        return batch.inputs, images.names(model.student.num_classes)
    if not Path(args.image).is_file():
        raise UserError('--image', 'an image file or an index of the test set', repr(args.image))
    pipeline = Compose([TRANSFORMS.build(x) for x in cfg.test_dataloader.dataset.pipeline])
    # The decoded image, for a pipeline that does not begin by loading it.
    image = mmcv.imread(args.image, channel_order='bgr' if reads_files(cfg) else 'rgb')
    batch = default_collate([pipeline(dict(img_path=args.image, img=image))])
    inputs = model.data_preprocessor(batch, False)['inputs']
    return inputs, [str(i) for i in range(model.student.num_classes)]


def cam_of(net, inputs, stage, category):
    """The map, its stage (from 1), the explained class and its score."""
    output = net(inputs.clone().requires_grad_(), stages=True)
    label = int(output.logits.argmax(1)) if category is None else category
    count = len(output.stages)
    if stage is not None and not 1 <= stage <= count:
        raise UserError('--stage', f'1 to {count}', stage)
    for number in range(count, 0, -1) if stage is None else [stage]:
        cam = grad_cam(output.stages[number - 1], output.logits[:, label])[0]
        if cam.any():
            break
    return cam.cpu().numpy(), number, label, output.logits.softmax(1)[0, label].item()


def main(argv=None):
    args = parse_args(argv)
    cfg = config_of(args)
    if not args.image.isdigit():  # a file is prepared as a single image
        cfg = image_by_image(cfg)
    model = (open_run if args.teacher else open_student)(cfg, args.checkpoint, args.device)
    inputs, names = load(args, cfg, model)
    if args.target_category is not None and not 0 <= args.target_category < len(names):
        raise UserError('--target-category', f'0 to {len(names) - 1}', args.target_category)
    seen = {'student': (model.student, inputs, None)}
    if args.teacher:
        teacher = teacher_of(model, 'vis_cam')
        seen['teacher'] = (teacher.net, teacher.prepare(inputs), teacher)
    tiles, numbers = [Tile(as_seen(model, inputs)[0], 'image')], {}
    for name, (net, images, teacher) in seen.items():
        cam, stage, label, score = cam_of(net, images, args.stage, args.target_category)
        title = f'{name}, stage {stage}\n{names[label]}: {score:.2f}'
        tiles.append(Tile(as_seen(model, inputs, teacher)[0], title, cam))
        numbers[name] = dict(stage=stage, category=label, score=score, cam=cam)
    image_grid(args.out, [tiles])
    finish(args.out, numbers, args.show)


if __name__ == '__main__':
    run_tool(main)
