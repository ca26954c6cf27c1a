# Images of your own in {train,val}/CLASS: name the folder, the size and the nets in own_images. Classes,
# views, learning rate, warm-up and the end of the cosine follow from them (hetkd/apis/own_images.py).
_base_ = ['./methods/mldrkd.py', './default_runtime.py']

own_images = dict(
    size=224,  # pixels
    pretrained=True,  # nets by name begin with timm's weights of ImageNet
    min_area=0.25,  # of an image, the smallest part to train on
    flip=True,  # train on mirror images too: not for text
    trains='student',  # or 'teacher', on labels alone
)
data_preprocessor = dict(
    mean=[123.675, 116.28, 103.53],  # ImageNet's
    std=[58.395, 57.12, 57.375],
    to_rgb=True,  # files are read as BGR
)
train_dataloader = dict(batch_size=64, num_workers=2, sampler=dict(type='DefaultSampler', shuffle=True))
val_dataloader = dict(batch_size=64, num_workers=2, sampler=dict(type='DefaultSampler', shuffle=False))
val_evaluator = [dict(type='Accuracy', topk=(1,)), dict(type='CalibrationError')]
test_evaluator = val_evaluator
optim_wrapper = dict(
    optimizer=dict(type='AdamW', weight_decay=0.05, fused=True), clip_grad=dict(max_norm=5.0)
)
train_cfg = dict(by_epoch=True, max_epochs=50, val_interval=1)
val_cfg = dict()
test_cfg = dict()
auto_scale_lr = dict(base_batch_size=64)
