"""Time thingsvision's extractor on a timm model, with memscore's torch and beside a bare forward pass.

    .bench/thingsvision/bin/python bench/peer_thingsvision.py resnet18 images.npy --modules layer1 layer2 --mode multi

images.npy has what the network is given: float32 (n, 3, height, width), resized and normalised.

Timed is `extract_features(batches, ..., flatten_acts=True, output_type="ndarray")` of an extractor that `get_extractor`
has loaded: from images in memory to the modules' activations (n, n_features) in memory, batches by thingsvision's own
DataLoader. `single` calls it once a module (`module_name`), `multi` once for all of them (`module_names`).
`forward_seconds` are of the model alone, called on the same images in batches of the same size, in the same process.
"""

import argparse
import json
import sys
import time
from contextlib import redirect_stdout
from importlib.metadata import version

import numpy as np
import torch
from thingsvision import get_extractor
from thingsvision.utils.data import DataLoader


def timed(call):
    """(seconds, result) of a call."""
    start = time.perf_counter()
    result = call()
    return time.perf_counter() - start, result


def arguments():
    """What the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="timm's name of it")
    parser.add_argument("images", help=".npy, float32 (n, 3, height, width)")
    parser.add_argument("--modules", nargs="+", required=True, help="names as in model.named_modules()")
    parser.add_argument("--mode", choices=["single", "multi"], required=True)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--weights", help="state dict saved by torch; without it, weights are random, of seed 0")
    parser.add_argument("--save", help=".npz to write each module's activations to")
    return parser.parse_args()


def measure(args):
    """The report on one model."""
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    extractor = get_extractor(args.model, pretrained=False, device="cpu", source="timm", model_path=args.weights)
    images = torch.from_numpy(np.load(args.images))
    batches = DataLoader(images, batch_size=args.batch_size, backend="pt")

    def forward():
        with torch.no_grad():
            for batch in images.split(args.batch_size):
                extractor.model(batch)

    def extract(modules):
        wanted = {"module_names": modules} if args.mode == "multi" else {"module_name": modules[0]}
        features = extractor.extract_features(batches, **wanted, flatten_acts=True, output_type="ndarray")
        return features if args.mode == "multi" else {modules[0]: features}

    with torch.no_grad():
        extractor.model(images[: args.batch_size])  # the first pass also allocates
    calls = [args.modules] if args.mode == "multi" else [[module] for module in args.modules]
    forward_seconds, seconds, shapes, kept = [], [[] for _ in calls], {}, {}
    for _ in range(args.repeats):
        forward_seconds.append(timed(forward)[0])
        for modules, of_call in zip(calls, seconds, strict=True):
            took, features = timed(lambda modules=modules: extract(modules))
            of_call.append(took)
            shapes |= {module: list(features[module].shape) for module in modules}
            if args.save:
                kept |= features
    if args.save:
        np.savez(args.save, **kept)
    report = {"thingsvision": version("thingsvision"), "torch": torch.__version__, "threads": torch.get_num_threads()}
    report |= {"batch_size": args.batch_size, "forward_seconds": forward_seconds, "shapes": shapes}
    report["calls"] = [{"modules": modules, "seconds": s} for modules, s in zip(calls, seconds, strict=True)]
    return report


if __name__ == "__main__":
    args = arguments()
    with redirect_stdout(sys.stderr):  # thingsvision says what it does
        report = measure(args)
    print(json.dumps(report))
