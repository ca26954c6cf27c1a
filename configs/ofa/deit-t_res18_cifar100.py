_base_ = [
    '../_base_/teachers/deit-t_cifar100.py',
    '../_base_/students/res18_cifar100.py',
    '../_base_/datasets/cifar100_224.py',
    '../_base_/schedules/cifar100_cnn_300e.py',
    '../_base_/default_runtime.py',
]

model = dict(type='OFA', teacher={{_base_.teacher}}, student={{_base_.student}})
