# Vim-S with patch 4 on 32 px images: 8x8 tokens. Made by configs/teachers/vim-s_cifar100_32px.py and
# tools/model_converters/export_student.py.
teacher = dict(
    type='MambaNet',
    model=dict(type='Vim', arch='small', patch_size=4),
    num_classes=100,
    input_size=32,
    checkpoint='checkpoints/vim-s_cifar100_32px.pth',
)
