"""Fine-tuning: a network's classifier is replaced by one unit, and the network is trained to predict memorability.

What is random in a step (its images, their crops, dropout) follows from the seed and the step's number alone. So a run
that was stopped anywhere and goes on from its checkpoint ends with the weights of one that was never stopped, bit for
bit on a CPU. Schedule, optimiser, clipping and averaging are timm's, augmentation is torchvision's.
"""

import hashlib
import json
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from types import MappingProxyType

import numpy as np
import timm.optim
import timm.scheduler
import timm.utils
import torch
from torchvision.transforms import v2 as transforms

import memscore
from memscore import versions
from memscore.correlation import rank_correlation
from memscore.errors import InputError
from memscore.files import enough_room, replacing
from memscore.networks import architectures
from memscore.networks.extraction import exact_convolutions, normalised

LOSSES = {
    "mse": torch.nn.functional.mse_loss,
    "huber": torch.nn.functional.huber_loss,
    "rank": lambda predicted, observed: rank_loss(predicted, observed),
}
RATIO = (3 / 4, 4 / 3)  # of a crop's sides, as torchvision and timm have it
WARMUP_FROM = 0.01  # of the learning rate
CHUNK = 256  # images that are hashed at a time


@dataclass(frozen=True)
class Recipe:
    """How a network is trained: the config's section `finetune`, which explains every field."""

    epochs: int
    batch_size: int
    optimizer: str
    learning_rate: float
    weight_decay: float
    warmup_epochs: int
    loss: str
    smallest_crop: float
    clip_norm: float
    layer_decay: float | None
    frozen_below: float | None
    only_head: bool
    average: float | None
    patience: int


@dataclass(frozen=True)
class Images:
    """What is trained and judged on.

    pixels : uint8 array (n_stimuli, height, width, 3), as staged for the network; mean, std : per channel
    memorability : array (n_stimuli,); train, validation : boolean arrays (n_stimuli,)
    """

    pixels: np.ndarray
    mean: Sequence[float]
    std: Sequence[float]
    memorability: np.ndarray
    train: np.ndarray
    validation: np.ndarray

    @cached_property
    def digest(self) -> str:
        """Of which pixels, scores and sides: another training is no continuation of this one."""
        parts = [self.memorability.astype(float), self.train, self.validation, np.array(self.pixels.shape)]
        parts.append(np.array([self.mean, self.std], float))
        found = hashlib.sha256(b"".join(part.tobytes() for part in parts))
        # Once a job. LaMem's 9 GB take 7 s at the 1.4 GB/s of a processor with instructions for it, and some 20 s of an
        # older one, or as long as they take to be read; an epoch reads them anyway.
        for start in range(0, len(self.pixels), CHUNK):
            found.update(np.ascontiguousarray(self.pixels[start : start + CHUNK]))
        return found.hexdigest()


class Stopped(Exception):
    """The scheduler asked the job to stop; its checkpoint is written."""


def with_head(model: torch.nn.Module, what: str, seed: int) -> torch.nn.Module:
    """The model with a new classifier of one unit in the place of its own; its first weights follow from the seed."""
    if not hasattr(model, "reset_classifier"):
        raise InputError(f"{what}: has no reset_classifier, timm's way to replace a head; add one to your architecture")
    torch.manual_seed(seed)
    model.reset_classifier(1)
    return model


def finetune(
    model: torch.nn.Module,
    images: Images,
    recipe: Recipe,
    seed: int,
    checkpoint: Path,
    device: str = "cpu",
    precision: str = "float32",
    say: Callable[[str], None] = lambda message: None,
    beside: Mapping = MappingProxyType({}),
) -> tuple[dict[str, torch.Tensor], list[dict]]:
    """Train a model with a head of one unit; goes on from `checkpoint` where there is one of the same training.

    Returns the weights of the epoch with the best ρ on validation stimuli, and one row an epoch: `epoch`,
    `learning_rate`, `train_loss`, `train_rho` (of the epoch's own predictions, while it trained) and `validation_rho`.
    The head predicts standardised scores: `target` turns them back.
    beside : what else makes it another training, for JSON: what its network is built from

    Raises InputError where the loss is no number any more, and Stopped after SIGTERM, once the step is saved.
    """
    training = _Training(model.to(device), images, recipe, seed, device, precision, say, beside)
    training.resume(checkpoint)
    with asked_to_stop() as stop:
        while not training.done:
            training.step()
            if training.epoch_ends:
                training.judge()
            if training.epoch_ends or stop():
                training.save(checkpoint)
            if stop() and not training.done:
                raise Stopped(f"stopped after step {training.steps}; the next try goes on from there")
    return training.best, training.history


class _Training:
    """A training between two steps."""

    def __init__(self, model, images: Images, recipe: Recipe, seed: int, device: str, precision: str, say, beside=()):
        self.model, self.images, self.recipe, self.seed, self.say = model, images, recipe, seed, say
        # What a checkpoint must be of.
        code, start = dict(versions.of("finetune")), digest_of(model.state_dict())
        self.identity = json.dumps([asdict(recipe), seed, images.digest, precision, code, start, dict(beside)])
        exact_convolutions()
        self.device, self.precision = device, precision
        # Fastest on a GPU. On a CPU too, but there the way back through some networks (RepVGG) writes where it should
        # not and the process aborts: torch 2.14.1.
        self.layout = torch.channels_last if device.startswith("cuda") else torch.contiguous_format
        self.model.to(memory_format=self.layout)
        self.rows = np.flatnonzero(images.train)
        # A last batch of one image would have no variance to normalise by.
        self.n_batches = max(len(self.rows) // recipe.batch_size, 1)
        self.mean, self.sd = target(images)
        self.head = {id(p) for each in architectures.last_linear_maps(model) for p in each.parameters()}
        if recipe.only_head:
            for parameter in model.parameters():
                parameter.requires_grad_(id(parameter) in self.head)
        self.optimizer = timm.optim.create_optimizer_v2(
            model,
            opt=recipe.optimizer,
            lr=recipe.learning_rate,
            weight_decay=recipe.weight_decay,
            layer_decay=recipe.layer_decay,
            layer_decay_no_opt_scale=recipe.frozen_below,
        )
        self.schedule, _ = timm.scheduler.create_scheduler_v2(
            self.optimizer,
            "cosine",
            num_epochs=recipe.epochs,
            warmup_epochs=recipe.warmup_epochs,
            warmup_lr=WARMUP_FROM * recipe.learning_rate,
            step_on_epochs=False,
            updates_per_epoch=self.n_batches,
        )
        self.average = timm.utils.ModelEmaV3(model, decay=recipe.average, use_warmup=True) if recipe.average else None
        self.augment = transforms.Compose(
            [
                transforms.RandomResizedCrop(
                    images.pixels.shape[1:3], scale=(recipe.smallest_crop, 1.0), ratio=RATIO, antialias=True
                ),
                transforms.RandomHorizontalFlip(),
            ]
        )
        self.steps, self.parts, self.history, self.best = 0, 1, [], {}
        self.seen: list[list[float]] = []  # of the epoch so far: predicted, observed, loss

    @property
    def epoch_ends(self) -> bool:
        return self.steps % self.n_batches == 0

    @property
    def done(self) -> bool:
        """Whether all epochs are over, or the last `patience` of them brought no better ρ."""
        if len(self.history) >= self.recipe.epochs:
            return True
        rhos = [row["validation_rho"] for row in self.history]
        return len(rhos) > self.recipe.patience and len(rhos) - 1 - int(np.argmax(rhos)) >= self.recipe.patience

    def step(self) -> None:
        """One update of the weights."""
        epoch, place = divmod(self.steps, self.n_batches)
        order = np.random.default_rng([self.seed, epoch]).permutation(self.rows)
        rows = order[place * self.recipe.batch_size :][: self.recipe.batch_size]
        self.schedule.step_update(self.steps)
        self.model.train()
        if self.recipe.only_head:
            self.model.eval()
        while True:
            torch.manual_seed(int(np.random.SeedSequence([self.seed, self.steps]).generate_state(1)[0]))
            self.optimizer.zero_grad()
            try:
                predicted, loss = self._gradients(rows)
                break
            except torch.OutOfMemoryError:
                if self.parts >= len(rows):
                    raise InputError(
                        "one image does not fit on the GPU; use a larger one, or a smaller network"
                    ) from None
                self.parts *= 2
                self.say(f"out of GPU memory: from now on a batch goes through in {self.parts} parts, gradients summed")
        if not np.isfinite(loss):
            raise InputError(
                f"finetune: the loss is {loss} in step {self.steps + 1} of epoch {epoch + 1}; lower learning_rate. The "
                "checkpoint of the epoch before is kept"
            )
        if self.recipe.clip_norm:
            timm.utils.dispatch_clip_grad(self.model.parameters(), self.recipe.clip_norm)
        self.optimizer.step()
        if self.average:
            self.average.update(self.model, step=self.steps)
        self.seen.append([predicted.tolist(), self._standardised(rows).tolist(), loss])
        self.steps += 1

    def _gradients(self, rows: np.ndarray) -> tuple[np.ndarray, float]:
        """Predictions for a batch and its loss, its gradients summed over as many parts as fit."""
        pixels = torch.from_numpy(np.ascontiguousarray(self.images.pixels[rows])).permute(0, 3, 1, 2)
        crops = torch.stack([self.augment(image) for image in pixels])
        observed = torch.tensor(self._standardised(rows), dtype=torch.float32, device=self.device)
        predicted, total = [], 0.0
        for part in torch.arange(len(rows)).chunk(self.parts):
            with self._mixed():
                output = self.model(self._normalised(crops[part]))
            output = output.float().flatten()
            loss = LOSSES[self.recipe.loss](output, observed[part]) * (len(part) / len(rows))
            loss.backward()
            total += float(loss.detach())
            predicted.append(output.detach().cpu().numpy())
        return np.concatenate(predicted), total

    def _normalised(self, crops: torch.Tensor) -> torch.Tensor:
        whole = normalised(crops.to(self.device), self.images.mean, self.images.std)
        return whole.contiguous(memory_format=self.layout)

    def _mixed(self):
        return torch.autocast(self.device.partition(":")[0], torch.bfloat16, enabled=self.precision == "bfloat16")

    def _standardised(self, rows: np.ndarray) -> np.ndarray:
        return (self.images.memorability[rows] - self.mean) / self.sd

    def judge(self) -> None:
        """At the end of an epoch: ρ on validation stimuli, and the weights kept if it is the best yet."""
        judged = self.average.module if self.average else self.model
        rows, images = np.flatnonzero(self.images.validation), self.images
        predicted = predict(judged, images.pixels, rows, images.mean, images.std, self.recipe.batch_size, self.device)
        rho = rank_correlation(predicted, images.memorability[rows])
        trained = [np.concatenate(column) for column in list(zip(*self.seen, strict=True))[:2]]
        row = {
            "epoch": len(self.history) + 1,
            "learning_rate": self.optimizer.param_groups[0]["lr"],
            "train_loss": float(np.mean([loss for *_, loss in self.seen])),
            "train_rho": rank_correlation(*trained),
            "validation_rho": rho if np.isfinite(rho) else -1.0,
        }
        if not self.history or row["validation_rho"] > max(each["validation_rho"] for each in self.history):
            self.best = {name: tensor.detach().cpu().clone() for name, tensor in judged.state_dict().items()}
        self.history.append(row)
        self.seen = []
        self.say(f"epoch {row['epoch']}: loss {row['train_loss']:.4f}, ρ on validation {row['validation_rho']:.3f}")

    def save(self, checkpoint: Path) -> None:
        """Write what the next step depends on; a disk that is full leaves the checkpoint before."""
        state = {
            "identity": self.identity,
            "steps": self.steps,
            "parts": self.parts,
            "history": self.history,
            "seen": self.seen,
            "best": self.best,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "average": self.average.module.state_dict() if self.average else {},
        }
        with enough_room(checkpoint, "make room; what was saved before is kept"), replacing(checkpoint) as temporary:
            torch.save(state, temporary)

    def resume(self, checkpoint: Path) -> None:
        """Go on from a checkpoint of the same training; of another one, or none, start."""
        if not checkpoint.is_file():
            return
        state = torch.load(checkpoint, map_location=self.device, weights_only=True)
        if state["identity"] != self.identity:
            self.say(
                f"{checkpoint}: is of another training (config, images, weights, plugins or seed differ); this one "
                "starts anew"
            )
            return
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.average:
            self.average.module.load_state_dict(state["average"])
        self.steps, self.parts, self.history = state["steps"], state["parts"], state["history"]
        self.seen, self.best = state["seen"], {name: tensor.cpu() for name, tensor in state["best"].items()}
        self.say(f"{checkpoint}: goes on after step {self.steps}, epoch {len(self.history)} is complete")


def digest_of(state: Mapping[str, torch.Tensor]) -> str:
    """Of tensors by name, wherever they lie."""
    found = hashlib.sha256()
    for name, tensor in state.items():
        found.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        found.update(tensor.cpu().flatten().contiguous().view(torch.uint8).numpy())
    return found.hexdigest()


def target(images: Images) -> tuple[float, float]:
    """(mean, standard deviation) of training scores, which turn a head's standardised scores back."""
    scores = images.memorability[images.train]
    return float(scores.mean()), float(scores.std()) or 1.0


def predict(
    model: torch.nn.Module,
    pixels: np.ndarray,
    rows: np.ndarray,
    mean: Sequence[float],
    std: Sequence[float],
    batch_size: int,
    device: str = "cpu",
) -> np.ndarray:
    """What the head of one unit says of whole images, standardised as in training, float array (n_rows,)."""
    exact_convolutions()
    model.eval().to(device)
    parts = []
    with torch.inference_mode():
        for start in range(0, len(rows), batch_size):
            batch = torch.from_numpy(np.ascontiguousarray(pixels[rows[start : start + batch_size]]))
            output = model(normalised(batch.to(device).permute(0, 3, 1, 2), mean, std))
            parts.append(output.float().flatten().cpu().numpy())
    return np.concatenate(parts).astype(float)


def rank_loss(predicted: torch.Tensor, observed: torch.Tensor) -> torch.Tensor:
    """RankNet (Burges et al. 2005): the logistic loss of every pair's order, mean over pairs that differ."""
    difference = predicted[:, None] - predicted[None]
    order = torch.sign(observed[:, None] - observed[None])
    losses = torch.nn.functional.softplus(-order * difference) * (order != 0)
    return losses.sum() / (order != 0).sum().clamp(min=1)


@contextmanager
def asked_to_stop() -> Iterator[Callable[[], bool]]:
    """`stop()`: whether a scheduler has sent SIGTERM, which then ends nothing by itself."""
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked.is_set
        return
    before = signal.signal(signal.SIGTERM, lambda *_: asked.set())
    try:
        yield asked.is_set
    finally:
        signal.signal(signal.SIGTERM, before)


def header(network: Mapping, options: Mapping, recipe: Recipe, images: Images, rho: float) -> dict[str, str]:
    """Of a tuned weights file: how to build its network (as `weights.load` reads it), and what it was trained on."""
    built = {"timm_name": network["timm_name"]} | dict(options) | {"num_classes": 1}
    mean, sd = target(images)
    code = {"memscore": memscore.__version__, **versions.of("finetune")}
    about = {"recipe": asdict(recipe), "data": images.digest, "code": code, "target": [mean, sd]}
    about["validation_rho"] = rho
    return {"options": json.dumps(built), "finetuned": json.dumps(about)}
