# Small nets trained from scratch.
_base_ = ['../schedules/adamw_100e.py', '../default_runtime.py']
