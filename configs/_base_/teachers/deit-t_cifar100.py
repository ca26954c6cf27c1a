# Made by configs/teachers/deit-t_cifar100.py and tools/model_converters/export_student.py.
teacher = dict(
    type='TimmNet',
    model='deit_tiny_patch16_224',
    num_classes=100,
    checkpoint='checkpoints/deit-t_cifar100.pth',
)
