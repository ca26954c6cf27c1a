# A teacher on all digits.
_base_ = ['../schedules/digits.py', '../digits_runtime.py']
