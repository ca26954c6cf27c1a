# Five labelled images of each digit: a setting where a teacher has something to tell.
_base_ = ['./digits.py']

train_dataloader = dict(batch_size=25, dataset=dict(per_class=5))
