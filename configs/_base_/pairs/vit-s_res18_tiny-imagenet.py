_base_ = [
    '../teachers/vit-s_tiny-imagenet.py',
    '../students/res18_tiny-imagenet.py',
    '../recipes/tiny-imagenet_cnn.py',
]
