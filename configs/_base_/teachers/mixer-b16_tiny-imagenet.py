# Made by fine-tuning on Tiny-ImageNet; the file is looked for under this name.
_base_ = ['./mixer-b16_cifar100.py']

teacher = dict(num_classes=200, checkpoint='checkpoints/mixer-b16_tiny-imagenet.pth')
