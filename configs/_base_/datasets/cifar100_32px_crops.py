# CIFAR-100 at its own size, with crops of half an image or more: a teacher that knows the images by heart (98 %
# here) tells a student more than the label only where it sees a part.
_base_ = ['./cifar100_32px.py']

data_preprocessor = dict(
    train_view=dict(_delete_=True, type='BatchRandomResizedCrop', scale=32, crop_ratio_range=(0.5, 1.0))
)
