# A small Vim for 16 px digits: 4x4 tokens. Made by configs/teachers/vim-micro_digits.py.
teacher = dict(
    type='MambaNet',
    model=dict(type='Vim', patch_size=4, embed_dim=48, depth=4, d_state=4),
    num_classes=10,
    input_size=16,
    checkpoint='checkpoints/vim-micro_digits.pth',
)
