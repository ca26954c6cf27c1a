# Students on five images of each digit.
_base_ = ['../schedules/digits_5shot.py', '../digits_runtime.py']
