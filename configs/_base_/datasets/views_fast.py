# Views of whole batches on the training device, read by the files *_fast.py.
_preprocessor_224_fast = dict(
    type='BatchViewPreprocessor',
    to_rgb=False,  # InMemory gives RGB
    train_view=dict(type='BatchRandomResizedCrop', scale=224),
    test_view=dict(type='BatchResizeCentreCrop', resize=256, crop=224),
)
_preprocessor_32px_fast = dict(
    type='BatchViewPreprocessor', to_rgb=False, train_view=dict(type='BatchRandomCrop', padding=4)
)
