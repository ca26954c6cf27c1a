_base_ = [
    '../teachers/deit-t_tiny-imagenet_64px.py',
    '../students/res18_tiny-imagenet_64px.py',
    '../recipes/tiny-imagenet_cnn_64px.py',
]
