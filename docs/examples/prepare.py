"""What cnnd does to an image before a model sees it, for who runs the model's ONNX file elsewhere. The steps' numbers are those of
"preparation" in the file's metadata and in docs/api.md.

    session = onnxruntime.InferenceSession("first.onnx")
    about = {k: json.loads(v) for k, v in session.get_modelmeta().custom_metadata_map.items() if k != "preparation"}
    x = prepare(pixels, about.get("preprocessing", {}), about["input"])
    logits, probabilities = session.run(["logits", "probabilities"], {"input": x[None]})
"""
import math

import numpy as np


def prepare(pixels, preprocessing, input, pixel_nm=None):
    """`pixels` as they are stored, (H,W) or (H,W,3); `pixel_nm` the (height, width) of one, None where nobody knows. Gives float32
    of the shape `input`, [C,H,W]."""
    pixels = np.asarray(pixels)
    x = pixels.astype(np.float32) / np.float32({"uint8": 255, "uint16": 65535}.get(str(pixels.dtype), 1))  # 1
    x = x[None] if x.ndim == 2 else x.transpose(2, 0, 1)
    recipe = preprocessing.get("import")
    if recipe:
        eight = np.array_equal(np.clip(np.rint(x * 255), 0, 255).astype(np.float32) / np.float32(255), x)  # 2
        target = recipe.get("pixel_size")
        if target and pixel_nm:  # 3
            sides = [max(1, math.floor(side * nm / target + 0.5)) for side, nm in zip(x.shape[1:], pixel_nm)]
            if sides != list(x.shape[1:]):
                x = along(along(x, 2, sides[1]), 1, sides[0])
        if recipe["normalize"] != "none" and not eight:  # 4
            x = stretch(x)
        if recipe["normalize"] == "per_image":
            deviation = x.std(dtype=np.float64)
            x = ((x - x.mean(dtype=np.float64)) / deviation if deviation > 0 else 0 * x).astype(np.float32)
        if recipe["fit"] == "crop":  # 5
            x = middle(x, *recipe["size"], bool(target))
        x = fit(x, [input[0], *recipe["size"]])  # 6
        if eight and recipe["normalize"] != "per_image":
            x = np.rint(np.clip(x, 0, 1) * np.float32(255)) / np.float32(255)
    return fit(x, input)  # 7


def along(x, axis, to):
    """Resampled along one axis: means where pixels become fewer, else linear."""
    count = x.shape[axis]
    if to >= count:
        return linear(x.astype(np.float64), axis, to).astype(np.float32)
    weights = np.zeros((to, count))
    for i in range(to):
        low, high = i * count / to, (i + 1) * count / to
        for k in range(math.floor(low), min(count, math.ceil(high))):
            weights[i, k] = max(0, min(k + 1, high) - max(k, low)) * to / count
    return np.moveaxis(np.tensordot(weights, x, (1, axis)), 0, axis).astype(np.float32)


def linear(x, axis, to):
    """In the type that x has: cnnd fits in float32, where a half more or less is another number of 8 bits."""
    count, one = x.shape[axis], x.dtype.type(1)
    at = np.maximum(x.dtype.type(count) / x.dtype.type(to) * (np.arange(to, dtype=x.dtype) + one / 2) - one / 2, 0)
    low = np.minimum(at.astype(int), count - 1)
    part = np.minimum(at - low.astype(x.dtype), one).reshape([-1 if k == axis else 1 for k in range(x.ndim)])
    high = np.minimum(low + 1, count - 1)
    return (one - part) * np.take(x, low, axis) + part * np.take(x, high, axis)


def stretch(x):
    order = np.sort(x, axis=None)
    low, high = (float(order[round(share * (x.size - 1))]) for share in (0.005, 0.995))  # halves to even
    return ((np.clip(x, low, high) - low) / (high - low) if high > low else 0 * x).astype(np.float32)


def middle(x, h, w, scaled):
    high, wide = x.shape[1:]
    if scaled:
        if high < h or wide < w:
            raise ValueError("%dx%d pixels are smaller than the crop of %dx%d" % (high, wide, h, w))
        rows, columns = h, w
    else:
        rows, columns = high, (2 * high * w + h) // (2 * h)
        if columns > wide:
            rows, columns = min(high, (2 * wide * h + w) // (2 * w)), wide
    rows, columns = max(1, rows), max(1, columns)
    y, left = (high - rows) // 2, (wide - columns) // 2
    return x[:, y:y + rows, left:left + columns]


def fit(x, to):
    """Channels and size: bilinear with pixel centres at halves."""
    if len(x) == 3 and to[0] == 1:
        x = np.tensordot(np.float32([0.299, 0.587, 0.114]), x, 1)[None]
    x = linear(linear(x, 2, to[2]), 1, to[1])
    return np.repeat(x, 3, 0) if len(x) == 1 and to[0] == 3 else x
