"""The course's networks as PyTorch classes, written after its pages: everything in an attribute `net`, so that state dictionaries
have the names that cnnd's weights have. Parameter counts, golden values and load_state_dict are held against them.

    course.network('alexnet', num_classes=10, channels=1)
"""
import torch
from torch import nn


class Course(nn.Module):
    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, x):
        return self.net(x)


class Builder:
    """Keeps the running number of channels, which nn.LazyConv2d would find by itself."""

    def __init__(self, channels):
        self.c = channels

    def conv(self, k, size, stride=1, padding=0, groups=1, bias=True):
        layer = nn.Conv2d(self.c, k, size, stride, padding, groups=groups, bias=bias)
        self.c = k
        return layer

    def norm(self):
        return nn.BatchNorm2d(self.c)


def lenet(b, classes, norm=False, activation=nn.Sigmoid, dropout=0.0):
    def hidden(layer, features):
        kind = nn.BatchNorm1d if isinstance(layer, nn.Linear) else nn.BatchNorm2d
        return [layer] + ([kind(features)] if norm else []) + [activation()]

    def dropped():
        return [nn.Dropout(dropout)] if dropout else []
    return nn.Sequential(
        *hidden(b.conv(6, 5, padding=2), 6), nn.AvgPool2d(2, 2), *hidden(b.conv(16, 5), 16), nn.AvgPool2d(2, 2),
        nn.Flatten(), *hidden(nn.Linear(400, 120), 120), *dropped(), *hidden(nn.Linear(120, 84), 84), *dropped(),
        nn.Linear(84, classes))


def classifier(features, classes):
    return [nn.Flatten(), nn.Linear(features, 4096), nn.ReLU(), nn.Dropout(0.5), nn.Linear(4096, 4096), nn.ReLU(),
            nn.Dropout(0.5), nn.Linear(4096, classes)]


def alexnet(b, classes, side=224):
    last = (((side + 2 - 11) // 4 + 1 - 3) // 2 + 1 - 3) // 2 + 1
    last = (last - 3) // 2 + 1
    return nn.Sequential(
        b.conv(96, 11, 4, 1), nn.ReLU(), nn.MaxPool2d(3, 2), b.conv(256, 5, 1, 2), nn.ReLU(), nn.MaxPool2d(3, 2),
        b.conv(384, 3, 1, 1), nn.ReLU(), b.conv(384, 3, 1, 1), nn.ReLU(), b.conv(256, 3, 1, 1), nn.ReLU(),
        nn.MaxPool2d(3, 2), *classifier(256 * last * last, classes))


VGG = {'vgg11': ((1, 64), (1, 128), (2, 256), (2, 512), (2, 512)),
       'vgg13': ((2, 64), (2, 128), (2, 256), (2, 512), (2, 512)),
       'vgg16': ((2, 64), (2, 128), (3, 256), (3, 512), (3, 512)),
       'vgg19': ((2, 64), (2, 128), (4, 256), (4, 512), (4, 512))}


def vgg(b, classes, arch, side=224):
    blocks = []
    for count, channels in arch:
        layers = []
        for _ in range(count):
            layers += [b.conv(channels, 3, padding=1), nn.ReLU()]
        blocks.append(nn.Sequential(*layers, nn.MaxPool2d(2, 2)))
        side //= 2
    return nn.Sequential(*blocks, *classifier(b.c * side * side, classes))


def nin(b, classes):
    def block(k, size, stride, padding):
        return nn.Sequential(b.conv(k, size, stride, padding), nn.ReLU(), b.conv(k, 1), nn.ReLU(), b.conv(k, 1), nn.ReLU())
    return nn.Sequential(block(96, 11, 4, 0), nn.MaxPool2d(3, 2), block(256, 5, 1, 2), nn.MaxPool2d(3, 2),
                         block(384, 3, 1, 1), nn.MaxPool2d(3, 2), nn.Dropout(0.5), block(classes, 3, 1, 1),
                         nn.AdaptiveAvgPool2d((1, 1)), nn.Flatten())


class Inception(nn.Module):
    def __init__(self, b, c1, c2, c3, c4):
        super().__init__()
        c = b.c
        self.b1_1 = nn.Conv2d(c, c1, 1)
        self.b2_1 = nn.Conv2d(c, c2[0], 1)
        self.b2_2 = nn.Conv2d(c2[0], c2[1], 3, padding=1)
        self.b3_1 = nn.Conv2d(c, c3[0], 1)
        self.b3_2 = nn.Conv2d(c3[0], c3[1], 5, padding=2)
        self.b4_1 = nn.MaxPool2d(3, 1, 1)
        self.b4_2 = nn.Conv2d(c, c4, 1)
        b.c = c1 + c2[1] + c3[1] + c4

    def forward(self, x):
        r = torch.relu
        return torch.cat((r(self.b1_1(x)), r(self.b2_2(r(self.b2_1(x)))), r(self.b3_2(r(self.b3_1(x)))),
                          r(self.b4_2(self.b4_1(x)))), 1)


def googlenet(b, classes):
    def stage(*blocks):
        return [Inception(b, *s) for s in blocks]
    return nn.Sequential(
        nn.Sequential(b.conv(64, 7, 2, 3), nn.ReLU(), nn.MaxPool2d(3, 2, 1)),
        nn.Sequential(b.conv(64, 1), nn.ReLU(), b.conv(192, 3, padding=1), nn.ReLU(), nn.MaxPool2d(3, 2, 1)),
        nn.Sequential(*stage((64, (96, 128), (16, 32), 32), (128, (128, 192), (32, 96), 64)), nn.MaxPool2d(3, 2, 1)),
        nn.Sequential(*stage((192, (96, 208), (16, 48), 64), (160, (112, 224), (24, 64), 64),
                             (128, (128, 256), (24, 64), 64), (112, (144, 288), (32, 64), 64),
                             (256, (160, 320), (32, 128), 128)), nn.MaxPool2d(3, 2, 1)),
        nn.Sequential(*stage((256, (160, 320), (32, 128), 128), (384, (192, 384), (48, 128), 128)),
                      nn.AdaptiveAvgPool2d((1, 1)), nn.Flatten()),
        nn.Linear(1024, classes))


class Residual(nn.Module):
    def __init__(self, b, channels, stride, changes):
        super().__init__()
        before = b.c
        self.conv1 = b.conv(channels, 3, stride, 1)
        self.bn1 = b.norm()
        self.conv2 = b.conv(channels, 3, 1, 1)
        self.bn2 = b.norm()
        self.conv3 = nn.Conv2d(before, channels, 1, stride) if changes else None

    def forward(self, x):
        y = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        return torch.relu(y + (self.conv3(x) if self.conv3 else x))


class Bottleneck(nn.Module):
    def __init__(self, b, channels, width, groups, stride, changes):
        super().__init__()
        before = b.c
        self.conv1 = b.conv(width, 1, bias=False)
        self.bn1 = b.norm()
        self.conv2 = b.conv(width, 3, stride, 1, groups, bias=False)
        self.bn2 = b.norm()
        self.conv3 = b.conv(4 * channels, 1, bias=False)
        self.bn3 = b.norm()
        self.downsample = nn.Sequential(nn.Conv2d(before, 4 * channels, 1, stride, bias=False), b.norm()) if changes else None

    def forward(self, x):
        y = torch.relu(self.bn1(self.conv1(x)))
        y = self.bn3(self.conv3(torch.relu(self.bn2(self.conv2(y)))))
        return torch.relu(y + (self.downsample(x) if self.downsample else x))


def resnet(b, classes, blocks, deep=False, groups=1):
    net = nn.Sequential(nn.Sequential(b.conv(64, 7, 2, 3, bias=not deep), b.norm(), nn.ReLU(), nn.MaxPool2d(3, 2, 1)))
    for i, count in enumerate(blocks):
        channels, stage = 64 << i, []
        for k in range(count):
            stride = 2 if k == 0 and i > 0 else 1
            if deep:
                stage.append(Bottleneck(b, channels, channels * (2 if groups > 1 else 1), groups, stride, k == 0))
            else:
                stage.append(Residual(b, channels, stride, stride > 1))
        net.add_module('b%d' % (i + 2), nn.Sequential(*stage))
    net.add_module('last', nn.Sequential(nn.AdaptiveAvgPool2d((1, 1)), nn.Flatten(), nn.Linear(b.c, classes)))
    return net


class Dense(nn.Module):
    def __init__(self, b, count, growth, paper):
        super().__init__()
        layers = []
        for _ in range(count):
            before = b.c
            layer = [b.norm(), nn.ReLU()]
            if paper:
                layer += [b.conv(4 * growth, 1, bias=False), b.norm(), nn.ReLU()]
            layer.append(b.conv(growth, 3, padding=1, bias=not paper))
            layers.append(nn.Sequential(*layer))
            b.c = before + growth
        self.net = nn.Sequential(*layers)

    def forward(self, x):
        for layer in self.net:
            x = torch.cat((x, layer(x)), 1)
        return x


def densenet(b, classes, growth=32, arch=(4, 4, 4, 4), paper=False):
    net = nn.Sequential(nn.Sequential(b.conv(2 * growth if paper else 64, 7, 2, 3, bias=not paper), b.norm(), nn.ReLU(),
                                      nn.MaxPool2d(3, 2, 1)))
    for i, count in enumerate(arch):
        net.add_module('dense_blk%d' % (i + 1), Dense(b, count, growth, paper))
        if i + 1 < len(arch):
            net.add_module('tran_blk%d' % (i + 1), nn.Sequential(
                b.norm(), nn.ReLU(), b.conv(b.c // 2, 1, bias=not paper), nn.AvgPool2d(2, 2)))
    net.add_module('last', nn.Sequential(b.norm(), nn.ReLU(), nn.AdaptiveAvgPool2d((1, 1)), nn.Flatten(),
                                         nn.Linear(b.c, classes)))
    return net


# name: (builder, a small side at which every layer has work: batch norm more than one pixel a channel)
NETS = {
    'lenet': (lenet, 28), 'bn-lenet': (lambda b, n: lenet(b, n, True), 28),
    'alexnet': (alexnet, 65),
    'vgg': (lambda b, n, side=224: vgg(b, n, VGG['vgg11'], side), 32),
    **{name: (lambda b, n, side=224, arch=arch: vgg(b, n, arch, side), 32) for name, arch in VGG.items()},
    'nin': (nin, 71), 'googlenet': (googlenet, 65),
    'resnet18': (lambda b, n: resnet(b, n, (2, 2, 2, 2)), 65), 'resnet34': (lambda b, n: resnet(b, n, (3, 4, 6, 3)), 65),
    'resnet50': (lambda b, n: resnet(b, n, (3, 4, 6, 3), True), 65),
    'resnext50': (lambda b, n: resnet(b, n, (3, 4, 6, 3), True, 32), 65),
    'densenet': (densenet, 65),
    'densenet121': (lambda b, n: densenet(b, n, 32, (6, 12, 24, 16), True), 65),
    'densenet169': (lambda b, n: densenet(b, n, 32, (6, 12, 32, 32), True), 65),
    'densenet201': (lambda b, n: densenet(b, n, 32, (6, 12, 48, 32), True), 65),
    'densenet161': (lambda b, n: densenet(b, n, 48, (6, 12, 36, 24), True), 65),
}
SIDED = {'alexnet', 'vgg', *VGG}


def network(name, num_classes=10, channels=1, side=None):
    build = NETS[name][0]
    if name in SIDED:
        return Course(build(Builder(channels), num_classes, side=side or 224))
    return Course(build(Builder(channels), num_classes))


def side(name):
    return NETS[name][1]


if __name__ == '__main__':
    for name in NETS:
        side = 28 if name in ('lenet', 'bn-lenet') else 224
        print('%s %d %d' % (name, sum(p.numel() for p in network(name).parameters()),
                            sum(p.numel() for p in network(name, 1000, 3 if side > 28 else 1).parameters())))
