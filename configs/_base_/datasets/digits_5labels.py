# Semi-supervised: five labelled images of each digit, all others without a label.
_base_ = ['./digits.py']

train_dataloader = dict(
    dataset=dict(labelled=5),
    sampler=dict(_delete_=True, type='SemiSupervisedSampler', labelled_share=0.25),
)
