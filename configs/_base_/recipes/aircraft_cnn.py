# CNN students on FGVC-Aircraft at 224 px, with the recipe of CIFAR-100 (ours).
_base_ = [
    '../datasets/aircraft_224.py',
    '../schedules/cifar100_cnn_300e.py',
    '../default_runtime.py',
]
