# Any image folder at 224 px: data/custom/{train,val}/CLASS/*.jpg. In a config of your own change
#     data_preprocessor = dict(num_classes=N)
# and link or copy the folder to data/custom.
_base_ = ['./files_224.py']

_checkpoint = 'checkpoints/{}_custom.pth'
_data = dict(type='CustomDataset', data_root='data/custom')
data_preprocessor = dict(num_classes=10)
train_dataloader = dict(dataset=dict(_data, data_prefix='train'))
val_dataloader = dict(dataset=dict(_data, data_prefix='val'))
test_dataloader = val_dataloader
val_evaluator = [dict(type='Accuracy', topk=(1,)), dict(type='CalibrationError')]  # of any number of classes
test_evaluator = val_evaluator
