# DeiT-T with patch 8 on 64 px images: 8x8 tokens. Made by configs/teachers/deit-t_tiny-imagenet_64px.py and
# tools/model_converters/export_student.py.
_base_ = ['./deit-t_cifar100_32px.py']

teacher = dict(
    num_classes=200,
    input_size=64,
    model_kwargs=dict(patch_size=8),
    checkpoint='checkpoints/deit-t_tiny-imagenet_64px.pth',
)
