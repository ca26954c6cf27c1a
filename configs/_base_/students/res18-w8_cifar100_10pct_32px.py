# ResNet-18 for 32 px images with an eighth of the channels: 182 thousand parameters.
_base_ = ['./res18_cifar100_32px.py']

student = dict(
    model=dict(backbone=dict(stem_channels=8, base_channels=8), head=dict(in_channels=64)),
)
