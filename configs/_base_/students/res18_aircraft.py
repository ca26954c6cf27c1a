_base_ = ['./res18_cifar100.py']

student = dict(num_classes=100)
