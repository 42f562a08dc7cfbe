"""Networks by chance, each as cnnd's JSON and as PyTorch's module with the same names.

    net = Maker(random.Random(7)).network((3, 12, 9), classes=5)
    net.layers, net.module, net.state_dict()

Blocks are nested in every way, for it is where values are shared and joined that a gradient may be lost. What hangs on chance
(dropout), on the order of images or on the sign of a rounding error is not among the layers.
"""
import torch
from torch import nn


class Residual(nn.Sequential):
    """The layers, and the shortcut beside them."""

    def __init__(self, layers, shortcut):
        super().__init__(*layers)
        if shortcut:
            self.shortcut = nn.Sequential(*shortcut)

    def forward(self, x):
        y = x
        for name, layer in self._modules.items():
            y = layer(y) if name != 'shortcut' else y
        return y + (self.shortcut(x) if 'shortcut' in self._modules else x)


class Dense(nn.Module):
    def __init__(self, layers):
        super().__init__()
        self.net = nn.Sequential(*layers)

    def forward(self, x):
        for layer in self.net:
            x = torch.cat((x, layer(x)), 1)
        return x


class Concat(nn.Sequential):
    def forward(self, x):
        return torch.cat([branch(x) for branch in self], 1)


class Network(nn.Module):
    def __init__(self, layers, modules):
        super().__init__()
        self.layers = layers
        self.net = nn.Sequential(*modules)

    def forward(self, x):
        return self.net(x)


def after(module, shape):
    """(C,H,W) or (F,) behind the module; two images, for batch norms of features."""
    with torch.no_grad():
        return tuple(module(torch.zeros(2, *shape)).shape[1:])


class Maker:
    """Each method returns a layer's JSON and its module. `keep` is what must stay of a shape: '' nothing, 'sides' all but the
    number of channels, 'all'."""

    def __init__(self, random, blocks=6):
        self.random, self.blocks = random, blocks

    def some(self, *choices):
        return self.random.choice(choices)

    def conv2d(self, shape, keep):
        channels, *sides = shape
        groups = self.some(*(g for g in range(1, channels + 1) if channels % g == 0))
        out = channels if keep == 'all' else groups * self.some(1, 2, 3, 17 if groups == 1 else 1)
        kernel, stride, padding, dilation = [], [], [], []
        for side in sides:
            if keep:
                kernel, stride, dilation = kernel + [self.some(1, 3, 5)], stride + [1], dilation + [self.some(1, 1, 2, 3)]
                padding.append(kernel[-1] // 2 * dilation[-1])
            else:
                padding.append(self.some(0, 1, 2))
                kernel.append(min(self.some(1, 2, 3, 3, 5), side + 2 * padding[-1]))
                most = (side + 2 * padding[-1] - 1) // max(1, kernel[-1] - 1)
                dilation.append(min(self.some(1, 1, 1, 2, 3), max(1, most)))
                stride.append(self.some(1, 1, 2, 3))
        if keep and self.some(True, False):
            kernel, padding = [self.some(1, 2, 3, 4, 5) for _ in sides], 'same'
        options = {'kernel_size': kernel, 'stride': stride, 'padding': padding, 'dilation': dilation, 'groups': groups,
                   'bias': self.some(True, False)}
        return {'type': 'conv2d', 'out_channels': out, **options}, nn.Conv2d(channels, out, **options)

    def pool(self, shape, keep):
        name, kind = self.some(('max_pool2d', nn.MaxPool2d), ('avg_pool2d', nn.AvgPool2d))
        kernel = [3, 3] if keep else [min(self.some(1, 2, 3, 4), side) for side in shape[1:]]
        options = {'kernel_size': kernel, 'stride': [1, 1] if keep else [self.some(1, 2, 3) for _ in kernel],
                   'padding': [1, 1] if keep else [self.some(0, k // 2) for k in kernel], 'ceil_mode': self.some(True, False)}
        return {'type': name, **options}, kind(**options)

    def adaptive(self, shape, keep):
        size = list(shape[1:]) if keep else [self.some(1, 2, 3, side) for side in shape[1:]]
        return {'type': 'adaptive_avg_pool2d', 'output_size': size}, nn.AdaptiveAvgPool2d(size)

    def linear(self, shape, keep):
        out = shape[0] if keep == 'all' else self.some(1, 2, 7, 16, 33)
        return {'type': 'linear', 'out_features': out}, nn.Linear(shape[0], out)

    def activation(self, shape, keep):
        slope, form = self.some(0.01, 0.2), self.some('none', 'tanh')
        return self.some(({'type': 'relu'}, nn.ReLU()), ({'type': 'sigmoid'}, nn.Sigmoid()), ({'type': 'tanh'}, nn.Tanh()),
                         ({'type': 'silu'}, nn.SiLU()), ({'type': 'relu6'}, nn.ReLU6()), ({'type': 'leaky_relu', 'negative_slope': slope}, nn.LeakyReLU(slope)),
                         ({'type': 'gelu', 'approximate': form}, nn.GELU(form)))

    def batch_norm(self, shape, keep):
        options = {'eps': self.some(1e-3, 1e-2), 'momentum': self.some(0.1, 0.3, 1.0), 'affine': self.some(True, False)}
        return {'type': 'batch_norm', **options}, (nn.BatchNorm1d if len(shape) == 1 else nn.BatchNorm2d)(shape[0], **options)

    def layer_norm(self, shape, keep):
        options = {'eps': self.some(1e-2, 1e-1), 'elementwise_affine': self.some(True, False)}
        return {'type': 'layer_norm', 'normalized_shape': list(shape), **options}, nn.LayerNorm(shape, **options)

    def flatten(self, shape, keep):
        return {'type': 'flatten'}, nn.Flatten()

    def chain(self, shape, count, keep):
        layers, modules = [], []
        for _ in range(count):
            layer, module = self.layer(shape, keep)
            layers.append(layer)
            modules.append(module)
            shape = after(module, shape)
        return layers, modules, shape

    def sequential(self, shape, keep):
        layers, modules, _ = self.chain(shape, self.some(1, 2), keep)
        return {'type': 'sequential', 'layers': layers}, nn.Sequential(*modules)

    def residual(self, shape, keep):
        layers, modules, _ = self.chain(shape, self.some(1, 2), 'all')
        shortcut, others, _ = self.chain(shape, self.some(0, 0, 1), 'all')
        return {'type': 'residual', 'layers': layers, **({'shortcut': shortcut} if shortcut else {})}, Residual(modules, others)

    def dense(self, shape, keep):
        layers, modules = [], []
        for _ in range(self.some(1, 2)):
            layer, module = self.layer(shape, 'sides')
            layers.append(layer)
            modules.append(module)
            shape = (shape[0] + after(module, shape)[0], *shape[1:])
        return {'type': 'dense', 'layers': layers}, Dense(modules)

    def concat(self, shape, keep):
        branches, all_modules = [], []
        flat = not keep and self.some(True, False)
        for _ in range(self.some(1, 2, 3)):
            layers, modules, end = self.chain(shape, self.some(0, 1, 2), 'sides')
            if flat and len(end) > 1 or not layers and self.some(True, False) and len(shape) == 1:
                layers.append({'type': 'flatten'})
                modules.append(nn.Flatten())
            branches.append(layers)
            all_modules.append(nn.Sequential(*modules))
        return {'type': 'concat', 'branches': branches}, Concat(*all_modules)

    def layer(self, shape, keep):
        kinds = [self.activation, self.batch_norm, self.layer_norm] + ([self.linear] * 4 if len(shape) == 1 else [self.conv2d] * 4)
        if len(shape) > 1:
            kinds += [self.pool, self.adaptive]
        if not keep or len(shape) == 1:
            kinds.append(self.flatten)
        if self.blocks > 0 and self.random.random() < 0.4:
            self.blocks -= 1
            kinds = [self.sequential, self.residual] + ([self.dense, self.concat] if keep != 'all' and shape[0] < 60 else [])
        return self.some(*kinds)(shape, keep)

    def network(self, shape, classes):
        layers, modules, shape = self.chain(shape, self.random.randint(1, 5), '')
        if len(shape) > 1:
            layers.append({'type': 'flatten'})
            modules.append(nn.Flatten())
            shape = after(modules[-1], shape)
        joined = self.some(0, 0, 1)  # classes that the last layer adds to the others
        layers.append({'type': 'linear', 'out_features': classes - joined})
        modules.append(nn.Linear(shape[0], classes - joined))
        if joined:
            layers.append({'type': 'dense', 'layers': [{'type': 'linear', 'out_features': joined}]})
            modules.append(Dense([nn.Linear(classes - joined, joined)]))
        return Network(layers, modules)
