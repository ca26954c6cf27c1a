# Made by fine-tuning on CUB-200-2011; the file is looked for under this name.
_base_ = ['./vit-s_cifar100.py']

teacher = dict(num_classes=200, checkpoint='checkpoints/vit-s_cub.pth')
