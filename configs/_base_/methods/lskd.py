# The authors' command line for CIFAR-100 (sunshangquan/logit-standardization-KD), 9 to 0.1 labels.
model = dict(
    type='LogitDistiller',
    losses=[dict(type='KDLoss', temperature=2.0, standardise=True, loss_weight=9.0)],
    ce_weight=0.1,
)
