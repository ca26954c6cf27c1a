# CIFAR-100 at its own size, with crops of half an image or more: of a whole image a teacher that knows it by
# heart says hardly more than its label.
_base_ = ['./cifar100_32px.py']

data_preprocessor = dict(
    train_view=dict(_delete_=True, type='BatchRandomResizedCrop', scale=32, crop_ratio_range=(0.5, 1.0))
)
