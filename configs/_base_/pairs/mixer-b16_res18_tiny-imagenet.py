_base_ = [
    '../teachers/mixer-b16_tiny-imagenet.py',
    '../students/res18_tiny-imagenet.py',
    '../recipes/tiny-imagenet_cnn.py',
]
