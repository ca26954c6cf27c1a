# ImageNet-1k at 224 px.
_base_ = ['./files_224.py']

_checkpoint = 'checkpoints/{}_imagenet.pth'
_data = dict(type='ImageNet', data_root='data/imagenet')
data_preprocessor = dict(num_classes=1000)
train_dataloader = dict(dataset=dict(_data, split='train'))
val_dataloader = dict(dataset=dict(_data, split='val'))
test_dataloader = val_dataloader
