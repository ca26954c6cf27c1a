# CUB-200-2011 (birds) at 224 px.
_base_ = ['./files_224.py']

_checkpoint = 'checkpoints/{}_cub.pth'
_data = dict(type='CUB', data_root='data/CUB_200_2011')
data_preprocessor = dict(num_classes=200)
train_dataloader = dict(dataset=dict(_data, split='train'))
val_dataloader = dict(dataset=dict(_data, split='test'))
test_dataloader = val_dataloader
