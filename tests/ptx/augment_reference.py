"""A view of a picture in double, from the conventions in kernels/augment.h, and the draw of its transforms."""

import dataclasses
import math

import numpy as np
from philox import random_block

F = np.float32


@dataclasses.dataclass
class Policy:
    size: int = 8
    channels: int = 3
    random_crop: bool = True
    crop_area: tuple = (0.08, 1.0)
    crop_aspect: tuple = (3 / 4, 4 / 3)
    bicubic: bool = False
    flip: float = 0.5
    rotation: float = 0.0
    degrees: float = 0.0
    jitter: float = 0.8
    strengths: tuple = (0.0, 0.0, 0.0)  # brightness, contrast, saturation
    hue: float = 0.0
    grayscale: float = 0.2
    blur: float = 0.0
    sigma: tuple = (0.1, 2.0)
    blur_kernel: int = 0
    mean: tuple = (0.0,) * 16
    stddev: tuple = (1.0,) * 16


@dataclasses.dataclass
class Parameters:
    top: int = 0
    left: int = 0
    height: int = 0
    width: int = 0
    flip: int = 0
    rotate: int = 0
    angle: float = 0.0
    jitter: int = 0
    order: tuple = (0, 1, 2, 3)
    factors: tuple = (1.0, 1.0, 1.0)
    hue: float = 0.0
    grayscale: int = 0
    blur: int = 0
    sigma: float = 0.0

    def bytes(self):
        words = [
            self.top,
            self.left,
            self.height,
            self.width,
            self.flip,
            self.rotate,
            F(self.angle),
            self.jitter,
            *self.order,
            *(F(x) for x in self.factors),
            F(self.hue),
            self.grayscale,
            self.blur,
            F(self.sigma),
        ]
        return np.array([int(np.asarray(w, F).view(np.int32)) if isinstance(w, F) else w for w in words], np.int32)


# Pixels.


def filter_of(x, bicubic):
    x = np.abs(x)
    if not bicubic:
        return np.maximum(1 - x, 0)
    a = -0.5
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = ((a * x - 5 * a) * x + 8 * a) * x - 4 * a
    return np.where(x < 1, near, np.where(x < 2, far, 0))


def resize_matrix(source, size, bicubic):
    """[size,source]: each position's weights, which sum to 1."""
    scale = source / size
    stretch = max(scale, 1.0)
    center = scale * (np.arange(size) + 0.5)
    w = filter_of((np.arange(source) + 0.5 - center[:, None]) / stretch, bicubic)
    return w / w.sum(axis=1, keepdims=True)


def grey(x):
    return x @ np.array([F(0.2989), F(0.587), F(0.114)], np.float64)


def read(picture, white, channels, colour):
    """A crop as [h,w,channels] of 0 .. 1."""
    x = picture.astype(np.float64) / white
    if not colour or x.shape[2] == channels:
        return x
    if x.shape[2] == 4:
        x = x[..., 3:] * x[..., :3] + (1 - x[..., 3:])
    if x.shape[2] == 1:
        return np.repeat(x, channels, axis=2)
    return x if channels == 3 else x @ np.array([[F(0.299)], [F(0.587)], [F(0.114)]], np.float64)


def shift_hue(x, shift):
    r, g, b = np.moveaxis(x, 2, 0)
    v, d = x.max(axis=2), x.max(axis=2) - x.min(axis=2)
    inverse = 1 / np.where(d > 0, d, 1)
    h = np.where(v == r, (g - b) * inverse, np.where(v == g, 2 + (b - r) * inverse, 4 + (r - g) * inverse)) + 6 * shift
    k = (h[..., None] + np.array([5, 3, 1])) % 6
    return v[..., None] - d[..., None] * np.clip(np.minimum(k, 4 - k), 0, 1)


def jitter(x, p, begin, end, mean):
    for operation in p.order[begin:end]:
        if operation == 3:
            if x.shape[2] == 3 and p.hue != 0:
                x = shift_hue(x, F(p.hue))
            continue
        factor = np.float64(F(p.factors[operation]))
        if operation == 2 and x.shape[2] != 3:
            continue
        base = (0.0, mean, grey(x)[..., None] if x.shape[2] == 3 else 0)[operation]
        x = np.clip(factor * x + (1 - factor) * base, 0, 1) if factor != 1 else x
    return x


def rotate(x, degrees):
    size = len(x)
    half, result = (size - 1) / 2, np.zeros_like(x)
    c, s = math.cos(math.radians(F(degrees))), math.sin(math.radians(F(degrees)))
    for row, column in np.ndindex(size, size):
        dx, dy = column - half, row - half
        at_x, at_y = c * dx - s * dy + half, s * dx + c * dy + half
        left, top = math.floor(at_x), math.floor(at_y)
        for j, i in ((0, 0), (0, 1), (1, 0), (1, 1)):
            if 0 <= top + j < size and 0 <= left + i < size:
                w = abs(1 - j - (at_y - top)) * abs(1 - i - (at_x - left))
                result[row, column] += w * x[top + j, left + i]
    return result


def blur(x, radius, sigma, repeated):
    size, d = len(x), np.arange(-radius, radius + 1)
    weights = np.exp(-0.5 * (d / np.float64(F(sigma))) ** 2)
    weights /= weights.sum()
    at = np.arange(size)[:, None] + d
    at = np.clip(at, 0, size - 1) if repeated else np.where(np.abs(at) < size, np.abs(at), 2 * (size - 1) - np.abs(at))
    x = np.einsum("d,ydxc->yxc", weights, x[at])
    return np.einsum("d,xdyc->yxc", weights, x.transpose(1, 0, 2)[at])


def view_of(picture, white, policy, p, channels):
    """[S,S,channels]; a view of neither 1 nor 3 channels is made channel by channel."""
    colour = policy.channels in (1, 3)
    if not colour and channels > 1:
        return np.concatenate([view_of(picture[..., c : c + 1], white, policy, p, 1) for c in range(channels)], axis=2)
    size = policy.size
    crop = read(picture[p.top : p.top + p.height, p.left : p.left + p.width], white, channels, colour)
    rows, columns = (resize_matrix(n, size, policy.bicubic) for n in crop.shape[:2])
    if p.flip:
        columns = columns[::-1]
    x = np.einsum("yh,hwc,xw->yxc", rows, crop, columns)
    if white == 1 or policy.bicubic:
        x = np.clip(x, 0, 1)
    x = rotate(x, p.angle) if p.rotate else x
    at = p.order.index(1) if p.jitter else 0
    x = jitter(x, p, 0, at, 0) if p.jitter else x
    units = np.floor((grey(x) if channels == 3 else x[..., 0]) * 2.0**20 + 0.5)
    mean = units.mean() / 2.0**20
    x = jitter(x, p, at, 4, mean) if p.jitter else x
    if p.grayscale and channels == 3:
        x = np.repeat(grey(x)[..., None], 3, axis=2)
    if p.blur:
        taps = size if policy.blur_kernel == -1 else policy.blur_kernel or size // 10
        x = blur(x, min(taps // 2, math.ceil(6 * F(p.sigma))), p.sigma, policy.blur_kernel == -1)
    return x


# The draw.


class Draws:
    def __init__(self, seed, key):
        self.seed, self.key, self.blocks = seed, key, {}

    def bits(self, slot):
        if slot // 4 not in self.blocks:
            self.blocks[slot // 4] = random_block(self.seed, "augmentation", self.key, slot // 4)
        return self.blocks[slot // 4][slot % 4]

    def uniform(self, slot):
        return F(self.bits(slot) >> 8) * F(2.0**-24)

    def below(self, n, slot):
        return self.bits(slot) * n >> 32

    def between(self, low, high, slot):
        return F(low) + (F(high) - F(low)) * self.uniform(slot)


def log2(x):
    """As kernels/shared/augment_parameters.h defines it."""
    exponent = 0
    while x > 1.4142135623730951:
        x, exponent = x * 0.5, exponent + 1
    while x < 0.7071067811865476:
        x, exponent = x * 2.0, exponent - 1
    s, series = (x - 1) / (x + 1), 0.0
    for n in range(19, 0, -2):
        series = 1.0 / n + s * s * series
    return exponent + 2 * s * series * 1.4426950408889634


def exp2(y):
    scale = 1.0
    while y > 0.5:
        y, scale = y - 1, scale * 2
    while y < -0.5:
        y, scale = y + 1, scale * 0.5
    r, series = y * 0.6931471805599453, 1.0
    for n in range(13, 0, -1):
        series = 1 + r * series / n
    return scale * series


def draw_crop(policy, draws, height, width, p):
    low, high = (float(F(x)) for x in policy.crop_area)
    narrow, wide = (float(F(x)) for x in policy.crop_aspect)
    for attempt in range(0, 40, 4):
        target = height * width * (low + (high - low) * float(draws.uniform(attempt)))
        aspect = exp2(log2(narrow) + (log2(wide) - log2(narrow)) * float(draws.uniform(attempt + 1)))
        w, h = math.floor(math.sqrt(target * aspect) + 0.5), math.floor(math.sqrt(target / aspect) + 0.5)
        if 1 <= w <= width and 1 <= h <= height:
            p.width, p.height = w, h
            p.top, p.left = draws.below(height - h + 1, attempt + 2), draws.below(width - w + 1, attempt + 3)
            return
    p.width, p.height = width, height
    if width < height * narrow:
        p.height = max(1, math.floor(width / narrow + 0.5))
    elif width > height * wide:
        p.width = max(1, math.floor(height * wide + 0.5))
    p.top, p.left = (height - p.height) // 2, (width - p.width) // 2


def draw(policy, height, width, seed, key):
    p, draws = Parameters(), Draws(seed, key)
    if policy.random_crop:
        draw_crop(policy, draws, height, width, p)
    else:
        p.height = p.width = min(height, width)
        p.top, p.left = (height - p.height) // 2, (width - p.width) // 2

    def happens(probability, slot):
        return int(draws.uniform(slot) < F(probability))

    p.flip, p.rotate = happens(policy.flip, 40), happens(policy.rotation, 41)
    p.angle = draws.between(-F(policy.degrees), policy.degrees, 42) if p.rotate else 0.0
    p.jitter = happens(policy.jitter, 43)
    if p.jitter:
        code, left, order = draws.below(24, 44), [0, 1, 2, 3], []
        for count in (4, 3, 2, 1):
            order.append(left.pop(code % count))
            code //= count
        p.order = tuple(order)
        low = [F(1) - F(s) if s < 1 else F(0) for s in policy.strengths]
        p.factors = tuple(draws.between(a, F(1) + F(s), 45 + i) for i, (a, s) in enumerate(zip(low, policy.strengths)))
        p.hue = draws.between(-F(policy.hue), policy.hue, 48)
    p.grayscale, p.blur = happens(policy.grayscale, 49), happens(policy.blur, 50)
    p.sigma = draws.between(*policy.sigma, 51) if p.blur else 0.0
    return p
