# Made by configs/teachers/swin-t_cifar100.py and tools/model_converters/export_student.py.
teacher = dict(
    type='TimmNet',
    model='swin_tiny_patch4_window7_224',
    num_classes=100,
    checkpoint='checkpoints/swin-t_cifar100.pth',
)
