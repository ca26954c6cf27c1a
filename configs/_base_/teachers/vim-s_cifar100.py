# Made by configs/teachers/vim-s_cifar100.py and tools/model_converters/export_student.py.
teacher = dict(
    type='MambaNet',
    model=dict(type='Vim', arch='small'),
    num_classes=100,
    checkpoint='checkpoints/vim-s_cifar100.pth',
)
