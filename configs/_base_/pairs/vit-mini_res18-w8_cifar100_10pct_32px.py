_base_ = [
    '../teachers/vit-mini_cifar100_10pct_32px.py',
    '../students/res18-w8_cifar100_10pct_32px.py',
    '../recipes/cifar100_10pct_32px.py',
]
