"""From a folder of images to a distilled, exported student. Each `# %%` is a cell of hetkd_tutorial.ipynb."""

# %% Your images: FOLDER/{train,val}/CLASS/*.png. Here they are 1,797 handwritten digits.
import argparse
from pathlib import Path

import cv2
from sklearn.datasets import load_digits

import hetkd
from hetkd.apis import inference_model, init_model, load_config

parser = argparse.ArgumentParser(description='From a folder of images to a distilled, exported student.')
parser.add_argument('--epochs', type=int, default=30, help='of teacher and student; default: 30')
EPOCHS = parser.parse_known_args()[0].epochs  # a notebook has arguments of its own
ROOT = Path('work_dirs/tutorial/images')
digits = load_digits()
for index, (image, label) in enumerate(zip(digits.images, digits.target)):
    folder = ROOT / ('train' if index % 3 else 'val') / f'digit_{label}'
    folder.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(folder / f'{index}.png'), (image * 15.9).astype('uint8'))

# %% Train the teacher, a small ViT, on your labels. Then distil it into the student, a small CNN. For
# photographs take names in timm, such as teacher='vit_small_patch16_224' and student='resnet18', at size=224
# and without options.
nets = load_config('hetkd::hcd/vit-micro_cnn-micro_digits').model
nets.teacher.pop('checkpoint')
distilled = hetkd.distill(
    student=nets.student,
    teacher=nets.teacher,
    data=str(ROOT),
    method='hcd',
    size=16,
    epochs=EPOCHS,
    out='work_dirs/tutorial/student.pth',
    work_dir='work_dirs/tutorial',
    options={'own_images.flip': False, 'own_images.min_area': 0.8, 'optim_wrapper.optimizer.lr': 2e-3},
)
print(f'top-1 of the student: {distilled.accuracy:.1f} %')

# %% Use the student: student.py and student.pth are all you need.
student = init_model('work_dirs/tutorial/student.py', 'work_dirs/tutorial/student.pth')
result = inference_model(student, str(next(ROOT.glob('val/digit_3/*'))))
print(f'{result["pred_class"]} with probability {result["pred_score"]:.2f}')
