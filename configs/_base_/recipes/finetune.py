# A teacher fine-tuned from ImageNet weights; _strong_pipeline and _strong_batch are its views
# (of a data set *_per_image.py).
_base_ = ['../schedules/cifar100_finetune.py', '../datasets/views_strong.py', '../default_runtime.py']
