# ResNet-18 with its first stride left out, as for 32 px images.
_base_ = ['./res18_cifar100_32px.py']

student = dict(num_classes=200, input_size=64)
