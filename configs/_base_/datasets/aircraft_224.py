# FGVC-Aircraft (variants) at 224 px.
_base_ = ['./files_224.py']

_checkpoint = 'checkpoints/{}_aircraft.pth'
_data = dict(type='FGVCAircraft', data_root='data/fgvc-aircraft-2013b')
data_preprocessor = dict(num_classes=100)
train_dataloader = dict(dataset=dict(_data, split='trainval'))
val_dataloader = dict(dataset=dict(_data, split='test'))
test_dataloader = val_dataloader
