# Small students on a tenth of CIFAR-100.
_base_ = [
    '../datasets/cifar100_10pct_32px.py',
    '../schedules/adamw_10e.py',
    '../default_runtime.py',
]
