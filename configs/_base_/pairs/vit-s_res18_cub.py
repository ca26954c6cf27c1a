_base_ = [
    '../teachers/vit-s_cub.py',
    '../students/res18_cub.py',
    '../recipes/cub_cnn.py',
]
