_base_ = [
    '../teachers/vim-micro_digits.py',
    '../students/cnn-micro_digits.py',
    '../recipes/digits_5shot.py',
]
