_base_ = [
    '../teachers/deit-t_imagenet.py',
    '../students/res18_imagenet.py',
    '../recipes/imagenet_cnn.py',
]
