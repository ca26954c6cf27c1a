# Views of whole batches on the training device, for images in memory (InMemory).
_fast_224 = dict(
    type='BatchViewPreprocessor',
    to_rgb=False,  # InMemory gives RGB
    train_view=dict(type='BatchRandomResizedCrop', scale=224),
    test_view=dict(type='BatchResizeCentreCrop', resize=256, crop=224),
)
_fast_32px = dict(
    type='BatchViewPreprocessor', to_rgb=False, train_view=dict(type='BatchRandomCrop', padding=4)
)
