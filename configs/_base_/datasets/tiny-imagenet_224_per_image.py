# Tiny-ImageNet at 224 px.
_base_ = ['./files_224.py']

_checkpoint = 'checkpoints/{}_tiny-imagenet.pth'
_data = dict(type='TinyImageNet', data_root='data/tiny-imagenet-200')
data_preprocessor = dict(num_classes=200)
train_dataloader = dict(dataset=dict(_data, split='train'))
val_dataloader = dict(dataset=dict(_data, split='val'))
test_dataloader = val_dataloader
