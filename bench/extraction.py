"""Time every leaf layer of a network beside its bare forward pass and beside thingsvision.

    PYTHONPATH=workflow .venv/bin/python bench/extraction.py [--images 256] [--models resnet50 ...] [--no-peer]

`forward` is the network alone on images that are ready, channels last; `memscore` is a job up to its scores, from uint8
pixels in a memory-mapped file to the layers' sketches in its scratch folder. The two run in turn in one process, and
the ratio is that of their medians. Peak memory is that of a process of its own, at `--images` and at four times as
many, without the pages of mapped files: those of the pixels belong to the page cache, and go when memory is short.
thingsvision (bench/peer_thingsvision.py) is timed one module a call for a few modules spread over depth, from which all
of them are extrapolated, and all modules in one call on as many images as memory allows. Weights are random. Writes
results/bench/extraction.csv.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from machine import THREADS, memory, synchronise

from memscore.files import write_rows
from memscore.networks import architectures, extraction, streaming

MODELS = ("resnet50", "dpn92", "tf_efficientnet_lite0")
SKETCH = 4096
PEER_MODULES = 4
PEER_MEMORY = 0.4  # share of the machine's memory that thingsvision's activations may fill


def pixels(n, size, folder):
    """Memory-mapped noise: what is in an image does not matter for time."""
    path = Path(folder, "pixels.npy")
    np.save(path, np.random.default_rng(0).integers(0, 256, (n, *size, 3), dtype=np.uint8))
    return np.load(path, mmap_mode="r")


def network(name):
    """(the model with random weights, its description)."""
    torch.manual_seed(0)
    return architectures.create(name).eval(), architectures.describe(name)


def forward(model, described, raw, batch_size, device):
    """Seconds of the network alone."""
    mean, std = (torch.tensor(described[key]).view(1, 3, 1, 1) for key in ("mean", "std"))
    model = model.to(device, memory_format=torch.channels_last)
    batches = torch.from_numpy(np.array(raw)).permute(0, 3, 1, 2).split(batch_size)
    batches = [((batch.float() / 255 - mean) / std).contiguous(memory_format=torch.channels_last) for batch in batches]
    batches = [batch.to(device) for batch in batches]
    synchronise(device)
    start = time.perf_counter()
    with torch.inference_mode():
        for batch in batches:
            model(batch)
    synchronise(device)
    return time.perf_counter() - start


def with_extraction(model, described, raw, batch_size, device, precision, folder, every=1):
    """Seconds of memscore with every layer."""
    layers = {layer["name"]: layer["calls"] for layer in described["layers"][::-every]}
    start = time.perf_counter()
    batches = extraction.extract(
        model, layers, raw, described["mean"], described["std"],
        batch_size=batch_size, sketch=SKETCH, device=device, precision=precision,
    )  # fmt: skip
    n_bytes = 4 * len(raw) * sum(min(SKETCH, layer["n_features"]) for layer in described["layers"])
    streaming.hold(batches, len(raw), scratch=folder, n_bytes=n_bytes)
    return time.perf_counter() - start


@contextmanager
def peak_memory():
    """A list with the most MB of memory that this process has had of its own while in here, looked at every 5 ms."""
    peak, done = [0.0], threading.Event()

    def look():
        while not done.wait(0.005):
            resident, shared = map(int, Path("/proc/self/statm").read_text().split()[1:3])
            peak[0] = max(peak[0], (resident - shared) * resource.getpagesize() / 1e6)

    looking = threading.Thread(target=look)
    looking.start()
    try:
        yield peak
    finally:
        done.set()
        looking.join()


def measure(args):
    """One network, in this process: the seconds of its passes, or the most memory of one extraction."""
    torch.set_num_threads(THREADS)
    with tempfile.TemporaryDirectory() as folder:
        model, described = network(args.model)
        raw = pixels(args.images, described["input_size"], folder)
        options = args.batch_size, args.device, args.precision, folder, args.every
        if args.memory:
            with peak_memory() as peak:
                with_extraction(model, described, raw, *options)
            return {"peak_mb": peak[0]}
        seconds = {"forward": [], "memscore": []}
        for images in [raw[: args.batch_size], *[raw] * args.repeats]:
            seconds["forward"].append(forward(model, described, images, args.batch_size, args.device))
            seconds["memscore"].append(with_extraction(model, described, images, *options))
    # The first pass, of one batch, also allocates.
    seconds = {kind: each[1:] for kind, each in seconds.items()}
    return {"seconds": seconds, "layers": len(described["layers"][:: -args.every])}


def measured(model, args, **changes):
    """`measure` in a process of its own."""
    options = {"images": args.images, "repeats": args.repeats, "batch-size": args.batch_size} | changes
    options |= {"device": args.device, "precision": args.precision}
    flags = [part for key, value in options.items() for part in (f"--{key}", str(value))]
    done = subprocess.run(
        [sys.executable, __file__, "--measure", model, *flags], check=True, stdout=subprocess.PIPE, text=True
    )
    return json.loads(done.stdout.splitlines()[-1])


def thingsvision(model, modules, mode, images, args):
    """(seconds of each call, seconds of its forward pass) of the peer."""
    described = architectures.describe(model)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "images.npy")
        np.save(path, np.random.default_rng(0).standard_normal((images, 3, *described["input_size"]), dtype=np.float32))
        command = [".bench/thingsvision/bin/python", "bench/peer_thingsvision.py", model, path, "--modules", *modules]
        command += ["--mode", mode, "--batch-size", str(args.batch_size), "--threads", str(THREADS)]
        done = subprocess.run(
            [*map(str, command)], check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
    report = json.loads(done.stdout)
    return [call["seconds"][0] for call in report["calls"]], report["forward_seconds"][0]


def rows_of(model, args):
    """What results/bench/extraction.csv says of one network."""
    once = measured(model, args)
    seconds = once["seconds"]
    ours, bare = (statistics.median(seconds[kind]) for kind in ("memscore", "forward"))
    where = {"model": model, "layers": once["layers"], "images": args.images, "device": args.device}
    where |= {"precision": args.precision, "batch_size": args.batch_size, "threads": THREADS}

    def row(measurement, value, ratio, unit, note="", **changes):
        ratio = None if ratio is None else round(ratio, 3)
        values = {"measurement": measurement, "value": round(value, 2), "unit": unit, "ratio": ratio, "note": note}
        return where | changes | values

    yield row("forward pass alone", bare, None, "s", f"{min(seconds['forward']):.2f} to {max(seconds['forward']):.2f}")
    spread = [a / b for a, b in zip(seconds["memscore"], seconds["forward"], strict=True)]
    note = f"times the forward pass; {min(spread):.2f} to {max(spread):.2f}"
    yield row("memscore, all leaf layers", ours, ours / bare, "s", note)
    few = None
    for images in (args.images, 4 * args.images):
        peaks = [measured(model, args, memory=1, images=images)["peak_mb"] for _ in range(args.repeats)]
        peak, spread = statistics.median(peaks), f"{min(peaks):.0f} to {max(peaks):.0f}"
        note = f"times that at {args.images} images; {spread}" if few else spread
        yield row("peak memory", peak, peak / few if few else None, "MB", note, images=images)
        few = peak
    if model == args.models[-1]:
        for every, images in [(4, args.images), (2, args.images), (1, args.images // 4), (1, args.images // 2)]:
            some = measured(model, args, every=every, images=images)
            took = {kind: statistics.median(each) for kind, each in some["seconds"].items()}
            changes = {"layers": some["layers"], "images": images}
            note = "times the forward pass; how cost grows"
            yield row("memscore", took["memscore"], took["memscore"] / took["forward"], "s", note, **changes)
    if args.peer:
        leaves = [
            layer["name"]
            for layer in architectures.describe(model)["layers"]
            if layer["name"] != architectures.PENULTIMATE
        ]
        numbers = sum(layer["n_features"] for layer in architectures.describe(model)["layers"])
        some = [leaves[round(i)] for i in np.linspace(0, len(leaves) - 1, PEER_MODULES)]
        seconds, _ = thingsvision(model, some, "single", args.images, args)
        note = f"times memscore; extrapolated from {len(some)} of {len(leaves)} modules"
        total = statistics.mean(seconds) * len(leaves)
        yield row("thingsvision, module by module", total, total / ours, "s", note)
        fits = int(PEER_MEMORY * memory() * 1e9 / (numbers * 4 * 3)) // args.batch_size * args.batch_size
        fits = min(max(fits, args.batch_size), args.images)
        (seconds,), _ = thingsvision(model, leaves, "multi", fits, args)
        same = ours * fits / args.images
        note = f"times memscore on as many; {args.images} images need {numbers * 4 * args.images / 1e9:.0f} GB"
        yield row("thingsvision, all modules in one call", seconds, seconds / same, "s", note, images=fits)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=MODELS)
    parser.add_argument("--images", type=int, default=256)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", default="float32")
    parser.add_argument("--no-peer", dest="peer", action="store_false")
    parser.add_argument("--output", default="results/bench/extraction.csv")
    parser.add_argument("--measure", dest="model", help=argparse.SUPPRESS)
    parser.add_argument("--memory", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--every", type=int, default=1, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.model:
        print(json.dumps(measure(args)))
        return
    rows = []
    for model in args.models:
        for row in rows_of(model, args):
            print(
                {key: row[key] for key in ("model", "measurement", "images", "value", "unit", "ratio", "note")},
                flush=True,
            )
            rows.append(row)
    write_rows(args.output, rows)


if __name__ == "__main__":
    main()
