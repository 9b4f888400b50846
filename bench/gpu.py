"""Is the GPU path right, and what does it take: one process, a few minutes on one card.

    PYTHONPATH=workflow python3 bench/gpu.py [--device cuda] [--quick] [--output results/bench/gpu.csv]

Needs torch, timm, NumPy, array-api-compat, threadpoolctl, safetensors and pandas, of any recent version, and no
network: weights are random, images are noise. `--quick` is the same at toy size, on any machine. Each row is written as
it is measured; the table is printed last.

- scores: PLS of features that are on the card beside NumPy's on this machine's processor, the same arrays;
  difference of predictions, relative to the largest, and seconds of each; beside scikit-learn for one target and
  Brain-Score's own metric for many, where they are installed
- flaws: a constant layer and one with a NaN: difference 0 where neither is scored on either device, for the same reason
- sketch: a fold on the card beside the processor's, relative
- feed: pixels alone, from a mapped file to normalised images on the card, with no network behind them
- activations: the sketches of all leaf layers at float32 on the card beside the processor's, the largest relative
  difference of any layer; and by how much bfloat16 moves any layer's held-out rho for one fixed target
- extraction: seconds of all leaf layers, from pixels on the host to features on the card, beside the bare forward pass
  on images that are on the card; and then of the memorability of all of them
"""

import argparse
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

try:
    import numpy as np
    import torch
    from machine import synchronise

    from memscore.files import write_rows
    from memscore.networks import architectures, extraction, streaming
    from memscore.networks.reduction import Sketch
    from memscore.scores import memorability
    from memscore.scores.pls import fit_splits
except ImportError as error:
    sys.exit(f"bench/gpu.py: {error}; PYTHONPATH must name workflow/")

SKETCH = 4096
NETWORKS = ("resnet50", "dpn92", "tf_efficientnet_lite0", "vit_small_patch16_224")


def seconds_of(work, device, repeats=3):
    """(result, median seconds) of `work()`, the first call not counted."""
    result, took = work(), []
    for _ in range(repeats):
        synchronise(device)
        start = time.perf_counter()
        result = work()
        synchronise(device)
        took.append(time.perf_counter() - start)
    return result, float(np.median(took))


def relative(a, b):
    """Largest difference, as a share of the largest value; NaN must be where NaN is."""
    if not (np.isnan(a) == np.isnan(b)).all():
        return np.inf
    with np.errstate(invalid="ignore"):  # Two infinities are equal.
        difference = np.where(a == b, 0, np.abs(a - b))
    largest = np.abs(b)[np.isfinite(b)].max(initial=0)
    return float(np.nan_to_num(difference, nan=0).max() / largest) if largest else 0.0


def regression(n, features, targets, n_splits, share, own_targets=False):
    """Features of falling variance, targets that depend on them, and random splits."""
    rng = np.random.default_rng(0)
    x = (rng.standard_normal((n, features), np.float32) * (1 / np.sqrt(1 + np.arange(features)))).astype(np.float32)
    y = x @ rng.standard_normal((features, targets)) + rng.standard_normal((n, targets))
    if own_targets:
        y = y + rng.standard_normal((n_splits, n, targets))
    return x, y, rng.random((n_splits, n)) < share


def scores(device, quick):
    n, brain = (2000, 300) if quick else (58_741, 3_200)
    widths = (100, 300) if quick else (1000, 4096)
    cases = [(f"memorability {n} x {width}", (n, width, 1, 5, 0.77)) for width in widths]
    cases += [(f"memorability {n} x {widths[0]}, own targets", (n, widths[0], 1, 5, 0.77, True))]
    cases += [(f"brain {brain} x {width} x 168", (brain, width, 168, 10, 0.9)) for width in widths]
    for name, size in cases:
        x, y, train = regression(*size)
        slow = name.startswith("memorability")

        def predictions(x, y=y, train=train):
            fitted = fit_splits(x, y, train, 25)
            return np.stack([fitted.predict(k) for k in range(len(train))])

        on_card = torch.from_numpy(x).to(device)
        ours, cpu = seconds_of(lambda x=x: predictions(x), "cpu", 1 if slow else 3)
        there, card = seconds_of(lambda x=on_card: predictions(x), device)
        row = {"part": "scores", "what": name, "difference": relative(there, ours), "seconds": card, "cpu_seconds": cpu}
        peer, took = beside_scikit_learn(x, y, train) if slow else beside_brainscore(x, y)
        yield row | {"note": f"{peer}: {took:.3g} s, {took / card:.0f} x" if took else f"{peer} is not installed here"}


def beside_scikit_learn(x, y, train):
    """(what, seconds of all splits, None where it is not installed), from the first split."""
    if not find_spec("sklearn"):
        return "scikit-learn", None
    from sklearn.cross_decomposition import PLSRegression

    first, targets = train[0], y if y.ndim == 2 else y[0]
    start = time.perf_counter()
    PLSRegression(25, scale=False).fit(x[first], targets[first]).predict(x)
    return f"scikit-learn, {len(train)} times one split", len(train) * (time.perf_counter() - start)


def beside_brainscore(x, y):
    """(what, seconds of its own ten splits, None where it is not installed)."""
    if not find_spec("brainscore_vision"):
        return "brainscore-vision", None
    from scoring import brainscore_metric

    ids, kinds = np.array([f"im{i:05d}" for i in range(len(x))]), np.sort(np.arange(len(x)) % 8).astype(str)
    start = time.perf_counter()
    brainscore_metric(x, y, ids, kinds)
    return "brainscore-vision", time.perf_counter() - start


def flaws(device, quick):
    """A layer that is constant, and one with a NaN: no score and the same reason, wherever it lies."""
    x, y, train = regression(500, 50, 1, 5, 0.77)
    with_nan = x.copy()
    with_nan[0, 0] = np.nan
    for what, broken in (("constant", np.ones_like(x)), ("NaN", with_nan)):
        here, there = (
            memorability.score(layer, y[:, 0], train, ~train, 10)
            for layer in (broken, torch.from_numpy(broken).to(device))
        )
        same = here.note == there.note != "" and np.isnan(here.rho).all() and np.isnan(there.rho).all()
        yield {"part": "flaws", "what": what, "difference": 0.0 if same else np.inf, "note": there.note}


def folds(device, quick):
    for shape in ((4, 64, 112, 112), (4, 2048, 7, 7), (4, 197, 384)):
        x = torch.from_numpy(np.random.default_rng(0).standard_normal(shape, np.float32))
        here = Sketch("layer", SKETCH, 0)(x).numpy()
        sketch, there = Sketch("layer", SKETCH, 0), x.to(device)
        folded, took = seconds_of(lambda sketch=sketch, there=there: sketch(there), device)
        difference = relative(folded.cpu().numpy(), here)
        yield {"part": "sketch", "what": "x".join(map(str, shape)), "difference": difference, "seconds": took}


def extracted(model, described, pixels, device, precision="float32", batch_size=32):
    """Each layer's sketches, arrays (n_stimuli, n_features)."""
    layers = {layer["name"]: layer["calls"] for layer in described["layers"]}
    batches = extraction.extract(
        model, layers, pixels, described["mean"], described["std"],
        batch_size=batch_size, sketch=SKETCH, device=device, precision=precision,
    )  # fmt: skip
    held = streaming.hold(batches, len(pixels))
    return {layer: held[layer].numpy() for layer in layers}


def held_out_rho(features, target, train):
    return memorability.score(features, target, train, ~train, 10).rho.mean()


def equal_activations(device, quick):
    n = 64 if quick else 256
    for name in NETWORKS[2:3] if quick else NETWORKS:
        torch.manual_seed(0)
        model, described = architectures.create(name).eval(), architectures.describe(name)
        rng = np.random.default_rng(0)
        coarse = rng.integers(0, 256, (n, 7, 7, 3), dtype=np.uint8)
        height, width = described["input_size"]
        pixels = np.repeat(np.repeat(coarse, height // 7, 1), width // 7, 2)
        pixels = np.ascontiguousarray(pixels)
        few = pixels[:16]
        here = extracted(model, described, few, "cpu")
        there = extracted(model, described, few, device)
        worst = max(here, key=lambda layer: relative(there[layer], here[layer]))
        yield {
            "part": "activations", "what": f"{name} float32",
            "difference": relative(there[worst], here[worst]), "note": f"{len(here)} layers, worst {worst}",
        }  # fmt: skip
        exact = extracted(model, described, pixels, device)
        target = coarse.reshape(n, -1) @ rng.standard_normal(147)
        target = (target - target.mean()) / target.std() + rng.standard_normal(n)
        train = rng.random((5, n)) < 0.75
        rough = extracted(model, described, pixels, device, "bfloat16")
        moved = {
            layer: abs(held_out_rho(rough[layer], target, train) - held_out_rho(exact[layer], target, train))
            for layer in exact
        }
        moved = {layer: value for layer, value in moved.items() if np.isfinite(value)}
        worst = max(moved, key=moved.get)
        yield {
            "part": "rho", "what": f"{name} bfloat16", "difference": moved[worst],
            "note": f"worst {worst}; median {np.median(list(moved.values())):.1e}",
        }  # fmt: skip
        del model


def feed(device, quick):
    """What a network waits for where it is faster: the file is in the system's cache, as after a job's first pass."""
    n, size = (32, 64) if quick else (4096, 224)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pixels.npy"
        np.save(path, np.random.default_rng(0).integers(0, 256, (n, size, size, 3), dtype=np.uint8))
        pixels = np.load(path, mmap_mode="r")
        for batch_size in (16,) if quick else (64, 256):

            def through(batch_size=batch_size):
                for _, images in extraction.batches_of([pixels], batch_size, device):
                    extraction.normalised(images.permute(0, 3, 1, 2), [0.5] * 3, [0.5] * 3)

            _, took = seconds_of(through, device)
            yield {
                "part": "feed", "what": f"{size} x {size}, batches of {batch_size}", "seconds": took,
                "note": f"{n / took:.0f} images/s",
            }  # fmt: skip


def speed(device, quick):
    n = 32 if quick else 2048
    for name in NETWORKS[2:3] if quick else NETWORKS[:3]:
        torch.manual_seed(0)
        model, described = architectures.create(name).eval(), architectures.describe(name)
        model = model.to(device, memory_format=torch.channels_last)
        pixels = np.random.default_rng(0).integers(0, 256, (n, *described["input_size"], 3), dtype=np.uint8)
        layers = {layer["name"]: layer["calls"] for layer in described["layers"]}
        for precision in ("float32", "bfloat16"):
            for batch_size in (16,) if quick else (64, 256):
                mixed = torch.autocast(torch.device(device).type, torch.bfloat16, enabled=precision == "bfloat16")
                images = torch.from_numpy(pixels[:batch_size]).to(device).permute(0, 3, 1, 2).float() / 255

                def bare(model=model, images=images, mixed=mixed, batch_size=batch_size):
                    with torch.inference_mode(), mixed:
                        for _ in range(n // batch_size):
                            model(images)

                options = {key: described[key] for key in ("mean", "std")} | {"sketch": SKETCH, "device": device}
                options |= {"batch_size": batch_size, "precision": precision}

                def all_layers(options=options, pixels=pixels, layers=layers, model=model):
                    return streaming.hold(extraction.extract(model, layers, pixels, **options), n, device)

                if device.startswith("cuda"):
                    torch.cuda.reset_peak_memory_stats()
                _, forward = seconds_of(bare, device)
                held, ours = seconds_of(all_layers, device, 2)
                peak = torch.cuda.max_memory_allocated() / 1e9 if device.startswith("cuda") else float("nan")
                yield {
                    "part": "extraction", "what": f"{name} {precision}, batches of {batch_size}", "seconds": ours,
                    "forward_seconds": forward, "note": f"{ours / forward:.2f} x the forward pass; {n / ours:.0f} "
                    f"images/s; {peak:.1f} GB on the card",
                }  # fmt: skip
        rng = np.random.default_rng(0)
        scores, train = rng.random(n), rng.random((5, n)) < 0.75

        def score_all(held=held, scores=scores, train=train):
            return [memorability.score(layer, scores, train, ~train, 10) for layer in held.values()]

        _, took = seconds_of(score_all, device, 1)
        yield {
            "part": "scores", "what": f"{name}: memorability of {len(held)} layers of {n} images", "seconds": took,
            "note": f"{1000 * took / len(held):.1f} ms a layer",
        }  # fmt: skip
        del model, held


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--output", default="results/bench/gpu.csv")
    args = parser.parse_args()
    name = torch.cuda.get_device_name() if args.device.startswith("cuda") else "CPU"
    where = {"device": name, "torch": torch.__version__}
    print(where, flush=True)
    columns = ("part", "what", "difference", "seconds", "cpu_seconds", "forward_seconds", "note")
    rows = []
    for part in (scores, flaws, folds, feed, speed, equal_activations):
        for row in part(args.device, args.quick):
            rows.append(where | {column: row.get(column) for column in columns})
            write_rows(Path(args.output), rows)
            print(*(f"{value:.3g}" if isinstance(value, float) else value for value in row.values()), flush=True)


if __name__ == "__main__":
    main()
