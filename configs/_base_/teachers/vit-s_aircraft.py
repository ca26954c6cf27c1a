# Made by fine-tuning on FGVC-Aircraft; the file is looked for under this name.
_base_ = ['./vit-s_cifar100.py']

teacher = dict(num_classes=100, checkpoint='checkpoints/vit-s_aircraft.pth')
