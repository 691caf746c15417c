"""Every equation of the paper as plain float64 loops: slow and readable, for the tests to compare the package with.

Numbers are Python floats in nested lists: a map is [channel][row][column], scores of a scale are [row][column] or flat
in row-major order, a box is [x, y, w, h] (centre and size). Nothing here imports the package.
"""

import math

Vector = list[float]
Matrix = list[Vector]
Cube = list[Matrix]


# Definition 1: units and windows. N = grid, u = scale.


def edges(size: int, grid: int) -> list[int]:
    return [i * size // grid for i in range(grid + 1)]


def windows(grid: int, scale: int) -> list[tuple[int, int]]:
    """First unit (row, column) of each window of a scale, row-major."""
    n = grid - scale + 1
    return [(i, j) for i in range(n) for j in range(n)]


def window_average(x: Cube, grid: int, scale: int, i: int, j: int) -> Vector:
    """Global average pooling G of Eq. 4 over the window whose first unit is (i, j)."""
    rows, columns = edges(len(x[0]), grid), edges(len(x[0][0]), grid)
    result = []
    for channel in x:
        cells = []
        for y in range(rows[i], rows[i + scale]):
            for c in range(columns[j], columns[j + scale]):
                cells.append(channel[y][c])
        result.append(math.fsum(cells) / len(cells))
    return result


def window_box(height: int, width: int, grid: int, scale: int, i: int, j: int) -> Vector:
    rows, columns = edges(height, grid), edges(width, grid)
    top, bottom = rows[i] / height, rows[i + scale] / height
    left, right = columns[j] / width, columns[j + scale] / width
    return [(left + right) / 2, (top + bottom) / 2, right - left, bottom - top]


# Equations 1 to 6: the gate.


def linear(weight: Matrix, bias: Vector | None, x: Vector) -> Vector:
    result = []
    for k, row in enumerate(weight):
        total = math.fsum(a * b for a, b in zip(row, x, strict=True))
        result.append(total + (bias[k] if bias is not None else 0.0))
    return result


def softmax(x: Vector) -> Vector:
    top = max(x)
    powers = [math.exp(v - top) for v in x]
    return [p / math.fsum(powers) for p in powers]


def eq4_score(g: Vector, w1: Matrix, b1: Vector, w2: Matrix, b2: Vector) -> Vector:
    hidden = [max(v, 0.0) for v in linear(w1, b1, g)]
    return linear(w2, b2, hidden)


def keep_probability(s: Vector) -> float:
    return softmax(s)[1]


def eq5_gate(keep: Matrix) -> Matrix:
    """Eq. 5-6 without noise: keep where P(keep) > 0.5, and at least the best unit of an image."""
    mask = [[1.0 if p > 0.5 else 0.0 for p in row] for row in keep]
    if not any(any(row) for row in mask):
        best = max((p, -i, -j) for i, row in enumerate(keep) for j, p in enumerate(row))
        mask[-best[1]][-best[2]] = 1.0
    return mask


def eq1_masked(x: Cube, mask: Matrix) -> Cube:
    grid, result = len(mask), [[list(row) for row in channel] for channel in x]
    rows, columns = edges(len(x[0]), grid), edges(len(x[0][0]), grid)
    for channel in result:
        for i in range(grid):
            for j in range(grid):
                for y in range(rows[i], rows[i + 1]):
                    for c in range(columns[j], columns[j + 1]):
                        channel[y][c] *= mask[i][j]
    return result


def eq2_activation(masks: list[Matrix]) -> float:
    """The square of the kept share of an image, then the mean over the batch."""
    total = 0.0
    for mask in masks:
        share = math.fsum(v for row in mask for v in row) / len(mask) ** 2
        total += share**2
    return total / len(masks)


def eq3_cross_entropy(logits: Vector, label: int) -> float:
    top = max(logits)
    return top + math.log(math.fsum(math.exp(v - top) for v in logits)) - logits[label]


# Equations 7 and 8, and the choice of the parts.


def eq7_estimate(scale1: Matrix, u: int) -> Matrix:
    n = len(scale1) - u + 1
    result = [[0.0] * n for _ in range(n)]
    for i in range(n):
        for j in range(n):
            for di in range(u):
                for dj in range(u):
                    result[i][j] += scale1[i + di][j + dj] / u**2
    return result


def eq8_consistency(maps: list[Matrix], margin: float = 0.1) -> float:
    """One image: the sum over the pairs i < j of a scale and over the scales 2, 3, ..."""
    total = 0.0
    for u in range(2, len(maps) + 1):
        score = [v for row in maps[u - 1] for v in row]
        estimate = [v for row in eq7_estimate(maps[0], u) for v in row]
        for i in range(len(score)):
            for j in range(i + 1, len(score)):
                sign = (score[i] > score[j]) - (score[i] < score[j])
                total += max(margin - (estimate[i] - estimate[j]) * sign, 0.0)
    return total


def choose_by_quota(scores: list[Vector], quotas: tuple[int, ...]) -> list[tuple[int, int]]:
    """(scale, window index) of each part: by scale, then falling score, then window index."""
    chosen = []
    for scale, quota in enumerate(quotas, start=1):
        order = sorted((-value, k) for k, value in enumerate(scores[scale - 1]))
        chosen += [(scale, k) for _, k in order[:quota]]
    return chosen


def choose_top(scores: list[Vector], total: int) -> list[tuple[int, int]]:
    """The global top-M: falling score, then scale, then window index."""
    every = [(-value, scale, k) for scale, row in enumerate(scores, start=1) for k, value in enumerate(row)]
    return [(scale, k) for _, scale, k in sorted(every)[:total]]


# Equations 9 to 13 and 16: part n receives, part m sends.


def relative_geometry(receiver: Vector, sender: Vector) -> Vector:
    """g_mn, the distances clamped at 1e-3 of the sender's size."""
    (xn, yn, wn, hn), (xm, ym, wm, hm) = receiver, sender
    dx, dy = max(abs(xm - xn) / wm, 1e-3), max(abs(ym - yn) / hm, 1e-3)
    return [math.log(dx), math.log(dy), math.log(wn / wm), math.log(hn / hm)]


def encode_geometry(g: Vector, dim: int = 64) -> Vector:
    """EP(g): the sines of every component and wave length, then the cosines in the same order."""
    waves = dim // 8
    angles = [100.0 * component / 1000.0 ** (j / waves) for component in g for j in range(waves)]
    return [math.sin(a) for a in angles] + [math.cos(a) for a in angles]


def eq9_appearance(key: Vector, query: Vector) -> float:
    """key = W_K f_m of the sender, query = W_Q f_n of the receiver."""
    return math.fsum(a * b for a, b in zip(key, query, strict=True)) / math.sqrt(len(key))


def eq10_geometry(w_p: Vector, code: Vector) -> float:
    return max(math.fsum(a * b for a, b in zip(w_p, code, strict=True)), 0.0)


def eq11_relation(appearance: Vector, geometry: Vector) -> Vector:
    """The weights of one receiver over its senders; appearance alone where no omega_P is positive."""
    if not any(p > 0 for p in geometry):
        geometry = [1.0] * len(geometry)
    top = max(f for f, p in zip(appearance, geometry, strict=True) if p > 0)
    terms = [p * math.exp(f - top) if p > 0 else 0.0 for f, p in zip(appearance, geometry, strict=True)]
    return [t / math.fsum(terms) for t in terms]


def eq12_message(weights: Vector, values: Matrix) -> Vector:
    return [math.fsum(w * value[d] for w, value in zip(weights, values, strict=True)) for d in range(len(values[0]))]


def eq13_residual(part: Vector, message: Vector) -> Vector:
    return [a + b for a, b in zip(part, message, strict=True)]


def head_widths(dim: int, heads: int) -> list[int]:
    return [dim // heads + (1 if h < dim % heads else 0) for h in range(heads)]


def eq16_relate(
    parts: Matrix,
    boxes: Matrix,
    w_q: Matrix | None,
    w_k: Matrix | None,
    w_v: Matrix,
    w_p: Matrix | None,
    heads: int = 1,
) -> Matrix:
    """PRM with heads. Without w_q and w_k omega_F = 0, without w_p omega_P = 1."""
    widths = head_widths(len(parts[0]), heads)
    result = []
    for n, receiver in enumerate(parts):
        message: Vector = []
        for h in range(heads):
            appearance, geometry = [0.0] * len(parts), [1.0] * len(parts)
            for m, sender in enumerate(parts):
                if w_q is not None and w_k is not None:
                    rows = slice(h * (len(w_q) // heads), (h + 1) * (len(w_q) // heads))
                    appearance[m] = eq9_appearance(linear(w_k[rows], None, sender), linear(w_q[rows], None, receiver))
                if w_p is not None:
                    code = encode_geometry(relative_geometry(boxes[n], boxes[m]), len(w_p[h]))
                    geometry[m] = eq10_geometry(w_p[h], code)
            channels = slice(sum(widths[:h]), sum(widths[: h + 1]))
            values = [linear(w_v[channels], None, sender) for sender in parts]
            message += eq12_message(eq11_relation(appearance, geometry), values)
        result.append(eq13_residual(receiver, message))
    return result


# The graph convolution of Table X.


def graph_adjacency(boxes: Matrix) -> Matrix:
    """exp(-d^2), d the distance of two centres in units of the mean width and height, which end at 1e-6."""
    result = []
    for xn, yn, wn, hn in boxes:
        row = []
        for xm, ym, wm, hm in boxes:
            dx, dy = (xn - xm) / max((wn + wm) / 2, 1e-6), (yn - ym) / max((hn + hm) / 2, 1e-6)
            row.append(math.exp(-(dx**2 + dy**2)))
        result.append(row)
    return result


def graph_relate(parts: Matrix, boxes: Matrix, w_v: Matrix) -> Matrix:
    """f_n + sum over m of A_nm / sqrt(degree_n degree_m) W_V f_m."""
    adjacency = graph_adjacency(boxes)
    degree = [math.fsum(row) for row in adjacency]
    values = [linear(w_v, None, part) for part in parts]
    result = []
    for n, part in enumerate(parts):
        weights = [adjacency[n][m] / math.sqrt(degree[n] * degree[m]) for m in range(len(parts))]
        result.append(eq13_residual(part, eq12_message(weights, values)))
    return result


# Equations 14 and 15: the loss.


def eq14_parts(logits: Matrix, label: int) -> float:
    """One image: cross-entropy of the mean of the logits, and the sum of the parts' cross-entropies."""
    mean = [math.fsum(column) / len(logits) for column in zip(*logits, strict=True)]
    return eq3_cross_entropy(mean, label) + math.fsum(eq3_cross_entropy(row, label) for row in logits)


def eq15_total(terms: dict[str, float], weights: dict[str, float]) -> float:
    return math.fsum(weights[name] * value for name, value in terms.items())
