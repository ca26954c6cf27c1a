# CIFAR-100 at 224 px as MLDR-KD's and OFA-KD's CNN recipe sees it.
_base_ = ['./views_224.py']

_checkpoint = 'checkpoints/{}_cifar100.pth'
_data = dict(type='CIFAR100', data_root='data/cifar100')
data_preprocessor = dict(
    num_classes=100,
    mean=[129.3105, 124.0575, 112.4295],  # 255 * (.5071, .4865, .4409), RGB
    std=[68.1615, 65.3820, 70.4310],  # 255 * (.2673, .2564, .2762)
    to_rgb=False,  # the data set gives RGB
)
train_dataloader = dict(dataset=dict(_data, split='train'))
val_dataloader = dict(dataset=dict(_data, split='test'))
test_dataloader = val_dataloader
