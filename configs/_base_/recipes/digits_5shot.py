# Students on five images of each digit.
_base_ = [
    '../datasets/digits_5shot.py',
    '../schedules/digits_5shot.py',
    '../digits_runtime.py',
]
