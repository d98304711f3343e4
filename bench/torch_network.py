"""PyTorch's side of torch-network.mjs: training steps of a QARepVGG network (S4) on request.

One request a line on stdin, one reply a line on stdout, both JSON. Tensors travel as files of raw float32 in a folder
that both sides know, named by the keys of the official code. Threads: OMP_NUM_THREADS.

    {"do": "prepare", "folder", "dims": [n, c, h, w], "state": {key: dims}, "variant", "lr", "momentum", "weightDecay"}
                             reads state, `images` and `labels`; replies {"threads", "version"}
    {"do": "steps", "count"} replies {"ms": [...], "losses": [...]}, a number each for every step
    {"do": "memory"}         replies {"peakBytes"}, of the whole process
"""

import json
import os
import sys
import time
from collections import OrderedDict

import numpy as np
import torch
from torch import nn


# Dilation of the 1x1, which changes nothing but which code PyTorch runs: see torch_step.py. The memory format is always
# the default one: with channels_last, the backward pass of Debian's PyTorch 1.13 corrupts its heap in these networks.
VARIANTS = {"plain": 1, "dilated 1x1": 2}


class Block(nn.Module):
    def __init__(self, in_channels, out_channels, stride, pointwise_dilation):
        super().__init__()
        self.rbr_dense = nn.Sequential(OrderedDict(
            conv=nn.Conv2d(in_channels, out_channels, 3, stride, padding=1, bias=False),
            bn=nn.BatchNorm2d(out_channels)))
        self.rbr_1x1 = nn.Conv2d(
            in_channels, out_channels, 1, stride, dilation=pointwise_dilation, bias=False)
        self.bn = nn.BatchNorm2d(out_channels)
        self.identity = in_channels == out_channels and stride == 1

    def forward(self, x):
        sum_ = self.rbr_dense(x) + self.rbr_1x1(x)
        return torch.relu_(self.bn(sum_ + x if self.identity else sum_))


class Network(nn.Module):
    """The blocks that the keys and dims of a state dict tell of; the first block of every stage has stride 2."""

    def __init__(self, state, pointwise_dilation):
        super().__init__()
        names = [key[:-len(".rbr_1x1.weight")] for key in state if key.endswith(".rbr_1x1.weight")]
        for name in names:
            out_channels, in_channels = state[name + ".rbr_1x1.weight"].shape[:2]
            stage, _, index = name.partition(".")
            block = Block(in_channels, out_channels, 2 if index in ("", "0") else 1, pointwise_dilation)
            if index == "":
                self.add_module(stage, block)
            elif index == "0":
                self.add_module(stage, nn.Sequential(block))
            else:
                getattr(self, stage).append(block)
        self.linear = nn.Linear(*reversed(state["linear.weight"].shape))
        self.load_state_dict(state)

    def forward(self, x):
        for name, stage in self.named_children():
            if name != "linear":
                x = stage(x)
        return self.linear(x.mean((2, 3)))


def read(folder, name, dims, dtype="<f4"):
    return torch.from_numpy(np.fromfile(os.path.join(folder, name), dtype).reshape(dims))


class Server:
    def prepare(self, request):
        folder, dims = request["folder"], request["dims"]
        state = {key: read(folder, key, key_dims) for key, key_dims in request["state"].items()}
        self.network = Network(state, VARIANTS[request["variant"]])
        self.images = read(folder, "images", dims)
        self.labels = read(folder, "labels", dims[:1], "<i4").long()
        decayed = [parameter for parameter in self.network.parameters() if parameter.dim() > 1]
        others = [parameter for parameter in self.network.parameters() if parameter.dim() <= 1]
        groups = [{"params": decayed, "weight_decay": request["weightDecay"]}, {"params": others, "weight_decay": 0}]
        self.optimizer = torch.optim.SGD(groups, lr=request["lr"], momentum=request["momentum"])
        self.loss = nn.CrossEntropyLoss()
        return {"threads": torch.get_num_threads(), "version": torch.__version__}

    def steps(self, request):
        milliseconds, losses = [], []
        for _ in range(request["count"]):
            start = time.perf_counter()
            self.optimizer.zero_grad(set_to_none=True)
            loss = self.loss(self.network(self.images), self.labels)
            loss.backward()
            self.optimizer.step()
            losses.append(loss.item())
            milliseconds.append(1000 * (time.perf_counter() - start))
        return {"ms": milliseconds, "losses": losses}

    def memory(self, _):
        with open("/proc/self/status") as status:
            peak = next(line for line in status if line.startswith("VmHWM"))
        return {"peakBytes": 1024 * int(peak.split()[1])}


def main():
    server = Server()
    actions = {"prepare": server.prepare, "steps": server.steps, "memory": server.memory}
    for line in sys.stdin:
        request = json.loads(line)
        print(json.dumps(actions[request["do"]](request)), flush=True)


main()
