"""Random requests for a model of the daemon: good jobs, the same jobs spoilt, small data sets."""

import json
import random

from harness import pgm
from archives import zipped

SIDE, CLASSES = 8, 3
STEPS = {"hflip": {}, "vflip": {"p": 0.2}, "rot90": {}, "affine": {"translate": [0.2, 0]}, "crop": {"padding": 1}, "zoom": {},
         "row_jitter": {}, "brightness": {}, "contrast": {}, "gamma": {}, "gaussian_noise": {}, "poisson_noise": {"dose": 20},
         "background": {}, "blur": {}}
TITLES = ("", "first try", "naïve Überlauf", "日本語 \U0001f9ea", "\u202ertl", "a\tb\n\"\\", "<svg>&amp;")
# Put in the place of some value of a good job.
NO_JSON = ("NaN", "Infinity", "1e999", "01", "1.", ".5", "+1", "0x10", "nul", "'a'", "9007199254740993", "18446744073709551616",
           '"\\ud800"', '"\\u0000"', '"\\x"', "[1,]", '{"a":1,}', '{"a":1,"a":1}', "[" * 65 + "]" * 65, "[" * 100000)
# Nobody's field takes one of these.
NO_VALUE = (-1e308, "", "../../etc/passwd", "x" * 5000, {"": None}, [[None]])


def archive(number):
    """A zip of 8x8 images of three classes: the same number, the same images."""
    dice = random.Random(number)
    return zipped([("c%d/%d.pgm" % (i % CLASSES, i), pgm(SIDE, SIDE, dice.randbytes(SIDE * SIDE))) for i in range(30 + number)])


def network(dice):
    """Layers for such images."""
    conv = {"type": "conv2d", "out_channels": 4, "kernel_size": 3, "padding": 1}
    front = dice.choice((
        [],
        [conv, {"type": "relu"}],
        [conv, {"type": "batch_norm"}, {"type": "tanh"}, {"type": "max_pool2d", "kernel_size": 2}],
        [{"type": "residual", "layers": [conv], "shortcut": [{**conv, "kernel_size": 1, "padding": 0}]}],
    ))
    middle = [{"type": "dropout", "p": 0.3}] if dice.random() < 0.3 else []
    return {"layers": [*front, {"type": "flatten"}, *middle, {"type": "linear", "out_features": CLASSES}]}


def optimizer(dice):
    name = dice.choice(("sgd", "adagrad", "adam", "adamw", "yogi"))
    got = {"name": name, "lr": dice.choice((0.001, 0.01, 0.1))}
    if name == "sgd" and dice.random() < 0.5:
        got.update(momentum=0.9, nesterov=dice.random() < 0.5)
    if dice.random() < 0.3:
        got.update(gradient_clip=1, weight_decay=0.001)
    if dice.random() < 0.5:
        got["schedule"] = dice.choice(("cosine", {"name": "step", "step_epochs": 2, "gamma": 0.5},
                                       {"name": "cosine", "warmup_epochs": 0.5, "min_lr": 1e-4}))
    return got


def job(dice, dataset):
    """A train job of some hundred steps on one of those data sets."""
    batch = dice.choice((2, 7, 16))
    got = {"type": "train", "architecture": network(dice), "dataset": {"name": dataset, "val_limit": 5}, "optimizer": optimizer(dice),
           "epochs": dice.choice((3, 20, 60)), "batch_size": batch, "seed": dice.choice((0, 1, 1 << 53)), "report_every": dice.choice((1, 3))}
    more = {"augment": [{"type": t, **STEPS[t]} for t in dice.choices(list(STEPS), k=dice.randrange(1, 4))],
            "stop_when": {"metric": dice.choice(("val_loss", "train_loss")), "patience": 2},
            "class_weights": dice.choice(("balanced", [0.5] + [2] * (CLASSES - 1))), "micro_batch": dice.randrange(2, batch + 1),
            "max_steps": dice.randrange(1, 300), "shuffle": False, "init": dice.choice(("kaiming_uniform", {"name": "normal", "std": 0.02}))}
    got.update({field: value for field, value in more.items() if dice.random() < 0.25})
    if dice.random() < 0.3:
        got["dataset"]["normalize"] = dice.choice(("per_image", {"mean": [0.3], "std": [0.4]}))
    return got


def places(tree, path=()):
    """The path of every value of a tree but itself."""
    for key, value in tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ():
        yield (*path, key)
        yield from places(value, (*path, key))


def at(tree, path):
    for key in path:
        tree = tree[key]
    return tree


def spoil(dice, good):
    """The text of a job that has to be refused."""
    tree = json.loads(json.dumps(good))
    path = dice.choice(list(places(tree)))
    how = dice.randrange(6)
    if how == 0:
        objects = [p for p in places(tree) if isinstance(at(tree, p), dict)] + [()]
        at(tree, dice.choice(objects))[dice.choice(("foo", "Epochs", "epochs ", "é", "__proto__"))] = 1
    elif how == 1:
        del tree[dice.choice(("type", "dataset", "architecture"))]
    elif how == 2:
        tree["name"] = "n" * dice.choice((300, 1000000, 2000000))
    elif how == 3:
        at(tree, path[:-1])[path[-1]] = dice.choice(NO_VALUE)
    elif how == 4:
        at(tree, path[:-1])[path[-1]] = "@@"
        return json.dumps(tree).replace('"@@"', dice.choice(NO_JSON)).encode()
    text = json.dumps(tree).encode()
    return text if how < 5 else text[:dice.randrange(len(text))]
