# Four sub-logits, w 6, beta 1, theta 0.5 (from a third-party port).
model = dict(type='HCD')
