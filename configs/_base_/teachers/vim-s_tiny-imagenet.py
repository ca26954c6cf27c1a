# Made by fine-tuning on Tiny-ImageNet; the file is looked for under this name.
_base_ = ['./vim-s_cifar100.py']

teacher = dict(num_classes=200, checkpoint='checkpoints/vim-s_tiny-imagenet.pth')
