"""Reference implementations of the baseline losses: loops after the papers' formulas."""

import math

from tests.reference.hcd import softmax


def dkd_loops(student, teacher, target, alpha, beta, temperature):
    total = 0.0
    for z_s, z_t, y in zip(student.tolist(), teacher.tolist(), target.tolist()):
        p_s, p_t = (softmax([x / temperature for x in z]) for z in (z_s, z_t))
        tckd = p_t[y] * math.log(p_t[y] / p_s[y])
        tckd += (1 - p_t[y]) * math.log((1 - p_t[y]) / (1 - p_s[y]))
        nckd = 0.0
        for c in range(len(p_s)):
            if c != y:
                hat_s, hat_t = p_s[c] / (1 - p_s[y]), p_t[c] / (1 - p_t[y])
                nckd += hat_t * math.log(hat_t / hat_s)
        total += alpha * tckd + beta * nckd
    return temperature**2 * total / len(student)


def rld_loops(student, teacher, target, alpha, beta, temperature, confidence_temperature):
    total = 0.0
    for z_s, z_t, y in zip(student.tolist(), teacher.tolist(), target.tolist()):
        p_s, p_t = (softmax([x / confidence_temperature for x in z]) for z in (z_s, z_t))
        best = max(range(len(z_t)), key=lambda c: z_t[c])
        for t, s in ((p_t[best], p_s[y]), (1 - p_t[best], 1 - p_s[y])):
            total += alpha * confidence_temperature**2 * t * math.log(t / s)
        below = [c for c in range(len(z_t)) if z_t[c] < z_t[y]]
        if below:
            q_s, q_t = (softmax([z[c] / temperature for c in below]) for z in (z_s, z_t))
            total += beta * temperature**2 * sum(t * math.log(t / s) for s, t in zip(q_s, q_t))
    return total / len(student)


def pearson(a, b):
    mean_a, mean_b = sum(a) / len(a), sum(b) / len(b)
    covariance = sum((x - mean_a) * (y - mean_b) for x, y in zip(a, b))
    return covariance / math.sqrt(sum((x - mean_a) ** 2 for x in a) * sum((y - mean_b) ** 2 for y in b))


def dist_loops(student, teacher, beta, gamma, temperature):
    p_s, p_t = ([softmax([x / temperature for x in z]) for z in net.tolist()] for net in (student, teacher))
    inter = sum(1 - pearson(a, b) for a, b in zip(p_s, p_t)) / len(p_s)
    columns = list(zip(zip(*p_s), zip(*p_t)))
    intra = sum(1 - pearson(a, b) for a, b in columns) / len(columns)
    return temperature**2 * (beta * inter + gamma * intra)


def ofa_loops(student, teacher, target, eps, temperature):
    total = 0.0
    for z_s, z_t, y in zip(student.tolist(), teacher.tolist(), target.tolist()):
        p_s, p_t = (softmax([x / temperature for x in z]) for z in (z_s, z_t))
        for c, (s, t) in enumerate(zip(p_s, p_t)):
            one = 1.0 if c == y else 0.0
            total -= ((t + one) ** eps - one) * math.log(s)
    return total / len(student)


def huber(x):
    return 0.5 * x * x if abs(x) < 1 else abs(x) - 0.5


def distances(rows):
    table = [[math.dist(a, b) for b in rows] for a in rows]
    positive = [x for line in table for x in line if x > 0]
    mean = sum(positive) / len(positive)
    return [[x / mean for x in line] for line in table]


def cosine_at(i, j, k, rows):
    a = [x - y for x, y in zip(rows[j], rows[i])]
    b = [x - y for x, y in zip(rows[k], rows[i])]
    norm = math.hypot(*a) * math.hypot(*b)
    return sum(x * y for x, y in zip(a, b)) / norm if norm else 0.0


def rkd_loops(student, teacher, distance_weight, angle_weight):
    rows = student.tolist(), teacher.tolist()
    n = len(student)
    d_s, d_t = map(distances, rows)
    distance = sum(huber(d_s[i][j] - d_t[i][j]) for i in range(n) for j in range(n)) / n**2
    angle = sum(
        huber(cosine_at(i, j, k, rows[0]) - cosine_at(i, j, k, rows[1]))
        for i in range(n)
        for j in range(n)
        for k in range(n)
    )
    return distance_weight * distance + angle_weight * angle / n**3


def cc_loops(student, teacher, gamma, order):
    def kernel(a, b):
        cosine = sum(x * y for x, y in zip(a, b)) / (math.hypot(*a) * math.hypot(*b))
        return sum(
            math.exp(-2 * gamma) * (2 * gamma) ** p / math.factorial(p) * cosine**p for p in range(order + 1)
        )

    rows = student.tolist(), teacher.tolist()
    n = len(student)
    return (
        sum(
            (kernel(rows[0][i], rows[0][j]) - kernel(rows[1][i], rows[1][j])) ** 2
            for i in range(n)
            for j in range(n)
        )
        / n**2
    )


def at_loops(student, teacher):
    def attention(image):
        channels = len(image)
        flat = [
            sum(image[c][h][w] ** 2 for c in range(channels)) / channels
            for h in range(len(image[0]))
            for w in range(len(image[0][0]))
        ]
        return [x / math.hypot(*flat) for x in flat]

    squares = [
        (a - b) ** 2
        for s, t in zip(student.tolist(), teacher.tolist())
        for a, b in zip(attention(s), attention(t))
    ]
    return sum(squares) / len(squares)


def cat_loops(student, teacher, resolution):
    def attention(grid):
        cells = []
        for i in range(resolution):
            rows = grid[i * len(grid) // resolution : math.ceil((i + 1) * len(grid) / resolution)]
            for j in range(resolution):
                width = len(grid[0])
                part = slice(j * width // resolution, math.ceil((j + 1) * width / resolution))
                values = [x for row in rows for x in row[part]]
                cells.append(sum(values) / len(values))
        return [x / math.hypot(*cells) for x in cells]

    squares = [
        (a - b) ** 2
        for s, t in zip(student.tolist(), teacher.tolist())
        for map_s, map_t in zip(s, t)
        for a, b in zip(attention(map_s), attention(map_t))
    ]
    return sum(squares) / len(squares)


def vkd_loops(student, teacher):
    total = 0.0
    for x, y in zip(student.tolist(), teacher.tolist()):
        mean = sum(y) / len(y)
        deviation = math.sqrt(sum((v - mean) ** 2 for v in y) / len(y) + 1e-5)
        total += sum(huber(a - (b - mean) / deviation) for a, b in zip(x, y))
    return total / student.numel()


def rsd_loops(student, teacher, kappa):
    def columns(net):
        result = []
        for column in zip(*net.tolist()):
            mean = sum(column) / len(column)
            deviation = math.sqrt(sum((x - mean) ** 2 for x in column) / len(column))
            result.append([(x - mean) / (deviation + 1e-5) for x in column])
        return result

    s, t = columns(student), columns(teacher)
    total = 0.0
    for i, a in enumerate(t):
        for j, b in enumerate(s):
            correlation = sum(x * y for x, y in zip(a, b)) / len(a)
            total += (correlation - 1) ** 2 if i == j else kappa * correlation**2
    return total


def crd_loops(student, teacher, student_memory, teacher_memory, samples, temperature):
    """The authors' form, with Z from the same batch."""
    student, teacher, student_memory, teacher_memory = (
        x.tolist() for x in (student, teacher, student_memory, teacher_memory)
    )
    images, total = len(student_memory), 0.0
    for anchors, memory in ((student, teacher_memory), (teacher, student_memory)):
        h = [
            [math.exp(sum(x * y for x, y in zip(v, memory[m])) / temperature) for m in row]
            for v, row in zip(anchors, samples.tolist())
        ]
        k = len(h[0]) - 1
        z = images * sum(sum(row) for row in h) / (len(h) * (k + 1))
        for row in h:
            positive, *negatives = (x / z for x in row)
            total -= math.log(positive / (positive + k / images)) / len(h)
            for x in negatives:
                total -= math.log((k / images) / (x + k / images)) / len(h)
    return total
