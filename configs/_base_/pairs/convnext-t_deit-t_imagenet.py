_base_ = [
    '../teachers/convnext-t_imagenet.py',
    '../students/deit-t_imagenet.py',
    '../recipes/imagenet_vit.py',
]
