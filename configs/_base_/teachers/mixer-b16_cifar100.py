# Made by configs/teachers/mixer-b16_cifar100.py and tools/model_converters/export_student.py.
teacher = dict(
    type='TimmNet',
    model='mixer_b16_224',
    num_classes=100,
    checkpoint='checkpoints/mixer-b16_cifar100.pth',
)
