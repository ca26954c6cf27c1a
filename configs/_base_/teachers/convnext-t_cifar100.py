# Made by configs/teachers/convnext-t_cifar100.py and tools/model_converters/export_student.py.
teacher = dict(
    type='TimmNet',
    model='convnext_tiny',
    num_classes=100,
    checkpoint='checkpoints/convnext-t_cifar100.pth',
)
