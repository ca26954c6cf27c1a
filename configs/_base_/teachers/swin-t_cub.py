# Made by fine-tuning on CUB-200-2011; the file is looked for under this name.
_base_ = ['./swin-t_cifar100.py']

teacher = dict(num_classes=200, checkpoint='checkpoints/swin-t_cub.pth')
