_base_ = [
    '../teachers/swin-t_tiny-imagenet.py',
    '../students/res18_tiny-imagenet.py',
    '../recipes/tiny-imagenet_cnn.py',
]
