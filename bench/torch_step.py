"""PyTorch's side of torch.mjs: times training steps of a QARepVGG block (S4, ReLU) on request.

One request a line on stdin, one reply a line on stdout, both JSON. Between requests the process sleeps in a read.
Tensors travel as files of raw float32 in a folder that both sides know. Threads: OMP_NUM_THREADS.

    {"do": "prepare", "folder", "dims": [n, c, h, w], "state": {key: dims}}
                                            reads state and `input`; replies {"variants": [names], ...}
    {"do": "forward", "variant", "into"}    writes `output`
    {"do": "backward", "variant", "into"}   reads `gradOutput`; writes `gradInput` and the gradient of every parameter
    {"do": "time", "variant", "steps"}      replies {"ms": [...]}, one number a step
"""

import json
import os
import sys
import time
from collections import OrderedDict

import numpy as np
import torch
from torch import nn

# Ways to run the same block: memory format, and dilation of the 1x1. That changes nothing in a 1x1 convolution, but with
# one thread and a small batch PyTorch gives an undilated one to BLAS, by default a slow one on Debian, and not to oneDNN.
VARIANTS = {
    "contiguous": (torch.contiguous_format, 1),
    "channels_last": (torch.channels_last, 1),
    "channels_last, dilated 1x1": (torch.channels_last, 2),
}


class Block(nn.Module):
    def __init__(self, channels, pointwise_dilation):
        super().__init__()
        self.rbr_dense = nn.Sequential(OrderedDict(
            conv=nn.Conv2d(channels, channels, 3, padding=1, bias=False), bn=nn.BatchNorm2d(channels)))
        self.rbr_1x1 = nn.Conv2d(channels, channels, 1, dilation=pointwise_dilation, bias=False)
        self.bn = nn.BatchNorm2d(channels)

    def forward(self, x):
        return torch.relu_(self.bn(self.rbr_dense(x) + self.rbr_1x1(x) + x))


class Variant:
    """A block and its data."""

    def __init__(self, memory_format, pointwise_dilation, state, x):
        self.memory_format = memory_format
        self.block = Block(x.shape[1], pointwise_dilation).to(memory_format=memory_format)
        self.block.load_state_dict(state)
        self.x = x.clone(memory_format=memory_format).requires_grad_()
        self.grad_output = None

    def set_grad_output(self, grad_output):
        self.grad_output = grad_output.clone(memory_format=self.memory_format)

    def step(self):
        # set_to_none is PyTorch's faster way to zero gradients.
        self.block.zero_grad(set_to_none=True)
        self.x.grad = None
        self.block(self.x).backward(self.grad_output)


def read(path, dims):
    return torch.from_numpy(np.fromfile(path, "<f4").reshape(dims))


def write(path, tensor):
    tensor.detach().contiguous().numpy().astype("<f4").tofile(path)


class Server:
    def prepare(self, request):
        self.folder, self.dims = request["folder"], request["dims"]
        state = {key: read(os.path.join(self.folder, key), dims) for key, dims in request["state"].items()}
        x = read(os.path.join(self.folder, "input"), self.dims)
        self.variants = {name: Variant(*how, state, x) for name, how in VARIANTS.items()}
        return {"variants": list(VARIANTS), "version": torch.__version__, "threads": torch.get_num_threads(),
                "mkldnn": torch.backends.mkldnn.is_available()}

    def forward(self, request):
        variant = self.variants[request["variant"]]
        write(os.path.join(request["into"], "output"), variant.block(variant.x))
        return {}

    def backward(self, request):
        variant = self.variants[request["variant"]]
        variant.set_grad_output(read(os.path.join(self.folder, "gradOutput"), self.dims))
        variant.step()
        write(os.path.join(request["into"], "gradInput"), variant.x.grad)
        for name, parameter in variant.block.named_parameters():
            write(os.path.join(request["into"], name), parameter.grad)
        return {}

    def time(self, request):
        variant, milliseconds = self.variants[request["variant"]], []
        for _ in range(request["steps"]):
            start = time.perf_counter()
            variant.step()
            milliseconds.append(1000 * (time.perf_counter() - start))
        return {"ms": milliseconds}


def main():
    server = Server()
    actions = {"prepare": server.prepare, "forward": server.forward, "backward": server.backward, "time": server.time}
    for line in sys.stdin:
        request = json.loads(line)
        print(json.dumps(actions[request["do"]](request)), flush=True)


main()
