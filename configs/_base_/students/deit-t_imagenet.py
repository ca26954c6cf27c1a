_base_ = ['./deit-t_cifar100.py']

student = dict(num_classes=1000)
