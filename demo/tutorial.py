"""From a folder of images to a distilled, exported student. Each `# %%` starts a notebook cell."""

# %% Your images: my_images/{train,val}/CLASS/*.png. Here they are 1,797 handwritten digits.
import argparse
from pathlib import Path

import cv2
from sklearn.datasets import load_digits

from hetkd.apis import export_student, inference_model, init_model, load_config
from hetkd.apis.launch import build_runner
from hetkd.engine import latest_checkpoint

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument('--epochs', type=int, default=30, help='of teacher and student; default: 30')
EPOCHS = parser.parse_known_args()[0].epochs  # a notebook has arguments of its own
ROOT = Path('my_images')
digits = load_digits()
for index, (image, label) in enumerate(zip(digits.images, digits.target)):
    folder = ROOT / ('train' if index % 3 else 'val') / f'digit_{label}'
    folder.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(folder / f'{index}.png'), image * 15.9)

CLASSES = sorted(path.name for path in (ROOT / 'train').iterdir())
SIZE = 16  # pixels; more for photographs


# %% A config that comes with hetkd, with your images in it.
def my_config(name, epochs):
    views = [dict(type='Resize', scale=(SIZE, SIZE)), dict(type='PackInputs')]
    random = dict(type='RandomSeeded', transforms=[dict(type='RandomCrop', crop_size=SIZE, padding=2)])
    cfg = load_config(f'hetkd::{name}')
    for loader, part in ((cfg.train_dataloader, 'train'), (cfg.val_dataloader, 'val')):
        pipeline = [dict(type='LoadImage'), views[0], *([random] if part == 'train' else []), views[1]]
        loader.dataset = dict(type='CustomDataset', data_root=str(ROOT), data_prefix=part, pipeline=pipeline)
    cfg.test_dataloader = cfg.val_dataloader
    cfg.data_preprocessor.update(num_classes=len(CLASSES), to_rgb=True)
    for net in (cfg.model.student, cfg.model.get('teacher', {})):
        net.update(num_classes=len(CLASSES), input_size=SIZE)
    cfg.train_cfg.update(max_epochs=epochs, val_interval=epochs)
    cfg.param_scheduler[-1].end = epochs
    cfg.work_dir, cfg.resume = f'work_dirs/tutorial/{name}', True
    return cfg


def train(cfg, out):
    build_runner(cfg).train()
    export_student(cfg, latest_checkpoint(cfg.work_dir), out)


# %% Train the teacher, a small ViT, on your labels. Then distil it into the student, a small CNN.
train(my_config('teachers/vit-micro_digits', EPOCHS), 'teacher.pth')
student = my_config('hcd/vit-micro_cnn-micro_digits', EPOCHS)
student.model.teacher.checkpoint = 'teacher.pth'
train(student, 'student.pth')

# %% Use the student: student.py and student.pth are all you need.
result = inference_model(init_model('student.py', 'student.pth'), str(next(ROOT.glob('val/digit_3/*'))))
print(f'{result["pred_class"]} with probability {result["pred_score"]:.2f}')
