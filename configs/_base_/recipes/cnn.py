# CNN students: MLDR-KD's recipe for CIFAR-100, which other data sets take as well (our choice).
_base_ = ['../schedules/cifar100_cnn_300e.py', '../default_runtime.py']
