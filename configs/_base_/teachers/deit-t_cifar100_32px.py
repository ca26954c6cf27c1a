# DeiT-T with patch 4 on 32 px images: 8x8 tokens. Made by configs/teachers/deit-t_cifar100_32px.py and
# tools/model_converters/export_student.py.
teacher = dict(
    type='TimmNet',
    model='deit_tiny_patch16_224',
    num_classes=100,
    input_size=32,
    model_kwargs=dict(patch_size=4),
    checkpoint='checkpoints/deit-t_cifar100_32px.pth',
)
