# Small nets on a CPU.
_base_ = ['../schedules/adamw_10e.py', '../default_runtime.py']
