_base_ = [
    '../teachers/mixer-b16_imagenet.py',
    '../students/res18_imagenet.py',
    '../recipes/imagenet_cnn.py',
]
