_base_ = [
    '../teachers/mixer-b16_cifar100.py',
    '../students/mobilenetv2_cifar100.py',
    '../recipes/cifar100_cnn.py',
]
