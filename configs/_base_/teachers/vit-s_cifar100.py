# Made by configs/teachers/vit-s_cifar100.py and tools/model_converters/export_student.py.
teacher = dict(
    type='TimmNet',
    model='vit_small_patch16_224',
    num_classes=100,
    checkpoint='checkpoints/vit-s_cifar100.pth',
)
