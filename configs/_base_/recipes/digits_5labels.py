# Students on five labelled images of each digit and all others without a label.
_base_ = ['../schedules/digits_5labels.py', '../digits_runtime.py']
