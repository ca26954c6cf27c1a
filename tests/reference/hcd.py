"""Reference implementations of HCD's sub-logit losses: loops after a third-party port's description."""

import math


def softmax(row):
    top = max(row)
    e = [math.exp(x - top) for x in row]
    return [x / sum(e) for x in e]


def sublogit_kl_loops(sub_logits, student, temperature):
    """Mean over samples and j of sum_c s log(s / z)."""
    total, count = 0.0, 0
    for subs, z in zip(sub_logits.tolist(), student.tolist()):
        q = softmax([x / temperature for x in z])
        for s in subs:
            p = softmax([x / temperature for x in s])
            total += sum(a * (math.log(a) - math.log(b)) for a, b in zip(p, q))
            count += 1
    return total / count


def sublogit_ce_loops(sub_logits, target, smoothing):
    """Mean over samples and j of the smoothed cross-entropy; target (N, C) probabilities."""
    total, count = 0.0, 0
    for subs, y in zip(sub_logits.tolist(), target.tolist()):
        for s in subs:
            p = softmax(s)
            smooth = [(1 - smoothing) * t + smoothing / len(y) for t in y]
            total -= sum(t * math.log(a) for t, a in zip(smooth, p))
            count += 1
    return total / count


def orthogonality_loops(sub_logits, target, threshold):
    """Mean over samples and ordered pairs j != m of ReLU(cos - theta)^2 without the true class."""
    total, count = 0.0, 0
    for subs, y in zip(sub_logits.tolist(), target.tolist()):
        rest = [[x for c, x in enumerate(s) if c != y] for s in subs]
        for j, a in enumerate(rest):
            for m, b in enumerate(rest):
                if j != m:
                    dot = sum(x * z for x, z in zip(a, b))
                    cos = dot / (math.hypot(*a) * math.hypot(*b))
                    total += max(0.0, cos - threshold) ** 2
                    count += 1
    return total / count
