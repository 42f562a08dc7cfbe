"""The course's large networks at full resolution on 2,000 images: the loss falls well below chance (2.303) within the steps given
here. Suite `slow`: minutes each on two cores. slow_courses.py [NAME…]"""
import sys

import harness

SMALL_VGG = {"name": "vgg", "arch": [[1, 16], [1, 32], [2, 64], [2, 128], [2, 128]]}
# name: (architecture, side, optimizer, steps, the loss that the last epoch's training must stay below)
COURSES = {
    "alexnet": ("alexnet", 224, {"name": "adam", "lr": 3e-4}, 126, 1.6),
    "vgg": (SMALL_VGG, 224, {"name": "adam", "lr": 3e-4}, 126, 1.6),
    "nin": ("nin", 224, {"name": "adam", "lr": 1e-3}, 126, 2.2),
    "densenet": ("densenet", 96, {"name": "sgd", "lr": 0.1}, 126, 1.2),
    "resnet18": ("resnet18", 96, {"name": "sgd", "lr": 0.05}, 126, 1.2),
}


def train(daemon, name):
    architecture, side, optimizer, steps, limit = COURSES[name]
    job = daemon.submit({
        "type": "train", "architecture": architecture, "batch_size": 32, "epochs": 100, "max_steps": steps, "seed": 1,
        "dataset": {"name": "fashion-mnist", "resize": [side, side], "limit": 2000, "val_limit": 500},
        "optimizer": optimizer})
    done = daemon.wait(job["id"], seconds=3600)
    metrics = done["metrics"]
    print("%-10s %d steps of 32: loss %.3f, accuracy %.3f; validation %.3f, %.3f; %d MB planned" % (
        name, steps, metrics["train_loss"], metrics["train_acc"], metrics["val_loss"], metrics["val_acc"],
        done["memory"]["device_bytes"] / 1e6), flush=True)
    if done["state"] != "succeeded" or not metrics["train_loss"] < limit:
        sys.exit("%s: %s, loss %s is not below %s" % (name, done["state"], metrics["train_loss"], limit))


def main():
    with harness.Daemon() as daemon:
        daemon.need_fashion()
        for name in sys.argv[1:] or COURSES:
            train(daemon, name)


if __name__ == "__main__":
    main()
