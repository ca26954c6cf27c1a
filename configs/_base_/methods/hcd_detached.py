# HCD with a detached target and averaged stages: for few steps (docs/en/hcd.md has the measurements).
_base_ = ['./hcd.py']

model = dict(sub_logit=dict(detach=True, reduction='mean'), orthogonality=dict(reduction='mean'))
