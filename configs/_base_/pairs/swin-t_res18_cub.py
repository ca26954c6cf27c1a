_base_ = [
    '../teachers/swin-t_cub.py',
    '../students/res18_cub.py',
    '../recipes/cub_cnn.py',
]
