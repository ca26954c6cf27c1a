# Semi-supervised: 50 labelled images of each class of CIFAR-100, the other 45,000 without a label.
_base_ = ['./effnet-lite0_res18-w16_cifar100_32px.py']

train_dataloader = dict(
    dataset=dict(labelled=50),
    sampler=dict(_delete_=True, type='SemiSupervisedSampler', labelled_share=0.25),
)
