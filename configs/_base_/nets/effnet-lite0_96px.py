# EfficientNet-Lite0 for 96 px images, normalised to the range of -1 to 1; a teacher that is fast on a CPU.
_base_ = ['./effnet-lite0.py']

_effnet_lite0_96px = dict(
    _base_._effnet_lite0,
    input_size=96,
    mean=[127.5] * 3,
    std=[127.5] * 3,
    channels_last=True,
    dtype='bfloat16',
)
