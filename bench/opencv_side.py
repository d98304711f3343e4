"""A side of the comparison of networks: OpenCV's dnn module. Speaks the protocol of graph-side.mjs."""

import json
import re
import sys
import time

import cv2
import numpy

net = None
names = []
feeds = []


def run():
    for name, data in feeds:
        net.setInput(data, name)
    return net.forward(names)


def create(request):
    global net, names
    cv2.setNumThreads(request["threads"])
    start = time.perf_counter()
    net = cv2.dnn.readNetFromONNX(request["file"])
    net.setPreferableBackend(cv2.dnn.DNN_BACKEND_OPENCV)
    names = net.getUnconnectedOutLayersNames()
    return {"ms": 1000 * (time.perf_counter() - start)}


def load(request):
    global feeds
    feeds = [
        (feed["name"], numpy.fromfile(feed["file"], numpy.float32).reshape(feed["dims"])) for feed in request["feeds"]
    ]


def check(request):
    # Sorted as the other sides sort them.
    outputs = sorted(zip(names, run()))
    numpy.concatenate([values.ravel() for _, values in outputs]).astype(numpy.float32).tofile(request["output"])


def times(request):
    measured = []
    for _ in range(request["runs"]):
        start = time.perf_counter()
        run()
        measured.append(1000 * (time.perf_counter() - start))
    return {"ms": measured}


def memory(_):
    with open("/proc/self/status") as status:
        return {"peakMiB": int(re.search(r"VmHWM:\s+(\d+) kB", status.read()).group(1)) / 1024}


handlers = {"create": create, "load": load, "check": check, "time": times, "memory": memory}
for line in sys.stdin:
    request = json.loads(line)
    try:
        reply = handlers[request["do"]](request) or {}
    except cv2.error as error:
        reply = {"error": str(error).strip().splitlines()[0][:200]}
    print(json.dumps(reply), flush=True)
