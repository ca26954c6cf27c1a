# Small nets on a CPU, many images.
_base_ = ['../schedules/adamw_5e.py', '../default_runtime.py']
