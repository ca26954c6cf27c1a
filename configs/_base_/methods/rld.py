# The authors' defaults on CIFAR-100 (read in their released code, zju-SWJ/RLD @d54578f).
model = dict(
    type='LogitDistiller',
    losses=[dict(type='RLDLoss', alpha=1.0, beta=8.0, temperature=4.0, warmup=20)],
)
