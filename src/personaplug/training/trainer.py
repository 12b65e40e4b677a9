"""Fit a plug on ``transformers.Trainer``: its checkpoints, resume, logging, DDP and DeepSpeed come with it."""

import json
import logging
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.utils.data import Sampler
from transformers import (
    EarlyStoppingCallback,
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)

from personaplug.embedder.checkpoint import save_weights
from personaplug.errors import ConfigError
from personaplug.plug.model import PersonaPlug
from personaplug.records import Example
from personaplug.training.batches import LengthGroupedVisits, TrainingSet
from personaplug.training.checkpoints import CHECKPOINTS, METRICS, discard_checkpoints, rewind_metrics, starting_point
from personaplug.training.recomputation import recomputing

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Progress:
    """How far training is.

    Attributes:
        step: Steps done.
        steps: Steps in all.
        loss: The latest logged loss on training queries, in nats a token; None before the first.
        dev_loss: The latest on dev queries; None before the first.
    """

    step: int
    steps: int
    loss: float | None
    dev_loss: float | None

    @property
    def words(self) -> str:
        """Say the losses shortly."""
        losses = (("loss", self.loss), ("dev", self.dev_loss))
        return "  ".join(f"{name} {value:.3f}" for name, value in losses if value is not None)


@dataclass(frozen=True, slots=True)
class Fitted:
    """What training came to.

    Attributes:
        steps: Steps done, those before an interruption included.
        dev_loss: Of the weights kept, in nats a token; None where there are no dev queries.
        seconds: Wall time of this process's share.
    """

    steps: int
    dev_loss: float | None
    seconds: float


def train(
    plug: PersonaPlug,
    examples: Sequence[Example],
    *,
    dev: Sequence[Example] = (),
    folder: Path,
    resume: bool = False,
    on_progress: Callable[[Progress], None] | None = None,
) -> Fitted:
    """Fit a plug's prefix and leave it, with the weights that were best on dev, in a run folder.

    Args:
        plug: Untrained; its weights are changed in place.
        examples: Training queries, all with answers.
        dev: Queries to choose the best weights by; empty to keep the last.
        folder: The run folder; made if absent.
        resume: Go on from the folder's last checkpoint, if there is one.
        on_progress: Called at each logged step.

    Raises:
        ConfigError: There is nothing to train on, or the folder holds a run that is finished or not to be resumed.
    """
    if not examples:
        raise ConfigError("there is no query to train on", hint="personaplug data audit shows what the split leaves")
    checkpoint = starting_point(folder, resume=resume)
    trainer = PlugTrainer(plug, examples, dev=dev, folder=folder, on_progress=on_progress)
    trainer.accelerator.wait_for_everyone()  # Every process has looked before one writes.
    if trainer.is_world_process_zero():
        plug.save_config(folder)
        rewind_metrics(folder, to=checkpoint)
    weights = sum(weight.numel() for weight in plug.parameters() if weight.requires_grad)
    log.info("train %d weights on %d queries from %s", weights, len(examples), checkpoint or "the start")
    _encode_queries(plug, chain(examples, dev))
    with recomputing(plug.backbone.model, enabled=plug.run.training.gradient_checkpointing):
        outcome = trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    plug.eval()
    if trainer.is_world_process_zero():
        save_weights(plug.prefix, folder / "model.safetensors")
        discard_checkpoints(folder)
    return Fitted(trainer.state.global_step, trainer.state.best_metric, outcome.metrics["train_runtime"])


def _encode_queries(plug: PersonaPlug, examples: Iterable[Example]) -> None:
    """Encode what a frozen query encoder reads before the first step, so that a resumed run finds the same vectors.

    Which texts share a batch decides their vectors' last bits; here the batches do not depend on where training begins.
    """
    if vectors := plug.batcher.query_vectors:
        texts = [plug.batcher.task.query_text(example.input) for example in examples]
        vectors(texts[: vectors.capacity])


class PlugTrainer(Trainer):
    """The ecosystem's trainer over a plug's own batches.

    Args:
        plug: What to train.
        examples: Training queries.
        dev: Dev queries.
        folder: The run folder.
        on_progress: Called at each logged step.
    """

    def __init__(
        self,
        plug: PersonaPlug,
        examples: Sequence[Example],
        *,
        dev: Sequence[Example],
        folder: Path,
        on_progress: Callable[[Progress], None] | None,
    ) -> None:
        config = plug.run.training
        self.plug = plug
        self.config = config
        callbacks: list[TrainerCallback] = [_Log(folder / METRICS, on_progress)]
        if dev and config.patience:
            callbacks.append(EarlyStoppingCallback(config.patience))
        super().__init__(
            model=plug,
            args=_arguments(plug, folder, queries=len(examples), has_dev=bool(dev)),
            data_collator=lambda batch: {"batch": plug.batcher(batch)},
            train_dataset=TrainingSet(examples, seed=config.seed, drops_history=config.history_dropout),
            eval_dataset=TrainingSet(dev, seed=0, drops_history=False) if dev else None,
            callbacks=callbacks,
        )
        self.remove_callback(PrinterCallback)

    def create_optimizer(self, model: nn.Module | None = None) -> torch.optim.Optimizer:  # noqa: ARG002 (the trainer's signature)
        """Give a trained query encoder its own, gentler learning rate."""
        if self.optimizer is None:
            named = [(name, weight) for name, weight in self.plug.named_parameters() if weight.requires_grad]
            slow = [weight for name, weight in named if "query_encoder" in name]
            fast = [weight for name, weight in named if "query_encoder" not in name]
            groups = [{"params": fast, "lr": self.config.learning_rate}]
            groups += [{"params": slow, "lr": self.config.encoder_learning_rate}] if slow else []
            self.optimizer = torch.optim.AdamW(groups, weight_decay=self.config.weight_decay)
        return self.optimizer

    def prediction_step(
        self, model: nn.Module, inputs: Mapping[str, Any], *_: object, **__: object
    ) -> tuple[Tensor, None, None]:
        """Give the loss of a dev batch; answers are the evaluation's business."""
        with torch.inference_mode():
            return model(**inputs)["loss"].detach(), None, None

    def _get_train_sampler(self, *_: object) -> Sampler[int]:
        assert isinstance(self.train_dataset, TrainingSet)
        lengths = [len(example.input) + len(example.target or "") for example in self.train_dataset.examples]
        size = self.config.batch_size * self.config.gradient_accumulation
        return LengthGroupedVisits(lengths, batch_size=size, seed=self.config.seed)

    def _save(self, output_dir: str | None = None, state_dict: dict[str, Tensor] | None = None) -> None:
        """Save the trained weights alone; the trainer's own way would pickle its arguments beside them."""
        folder = Path(output_dir or str(self.args.output_dir))
        folder.mkdir(parents=True, exist_ok=True)
        save_file(state_dict or self.plug.state_dict(), folder / "model.safetensors", metadata={"format": "pt"})


class _Log(TrainerCallback):
    """Append what the trainer logs to ``metrics.jsonl`` and tell the caller how far it is."""

    def __init__(self, path: Path, on_progress: Callable[[Progress], None] | None) -> None:
        self.path = path
        self.on_progress = on_progress
        self.latest: dict[str, float] = {}

    def on_step_end(
        self,
        args: TrainingArguments,  # noqa: ARG002 (the trainer's protocol)
        state: TrainerState,  # noqa: ARG002
        control: TrainerControl,
        **_: object,
    ) -> None:
        """Log before every checkpoint: a resumed run cannot know the losses since the last line."""
        control.should_log |= control.should_save

    def on_log(
        self,
        args: TrainingArguments,  # noqa: ARG002
        state: TrainerState,
        control: TrainerControl,  # noqa: ARG002
        logs: dict[str, float] | None = None,
        **_: object,
    ) -> None:
        """Keep one line a logged step, whatever the number of processes."""
        if not state.is_world_process_zero:
            return
        self.latest |= logs or {}
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": state.global_step, **(logs or {})}) + "\n")
        if self.on_progress:
            loss, dev_loss = self.latest.get("loss"), self.latest.get("eval_loss")
            self.on_progress(Progress(state.global_step, state.max_steps, loss, dev_loss))


def _arguments(plug: PersonaPlug, folder: Path, *, queries: int, has_dev: bool) -> TrainingArguments:
    config, device = plug.run.training, plug.backbone.device
    processes = int(os.environ.get("WORLD_SIZE", "1"))  # as torchrun says
    batches = -(-queries // (config.batch_size * config.gradient_accumulation * processes))
    looks = config.evaluate_every or max(1, round(batches * config.epochs / 4))
    return TrainingArguments(
        output_dir=str(folder / CHECKPOINTS),
        num_train_epochs=config.epochs,
        per_device_train_batch_size=config.batch_size,
        per_device_eval_batch_size=config.batch_size,
        gradient_accumulation_steps=config.gradient_accumulation,
        learning_rate=config.learning_rate,
        warmup_steps=config.warmup,
        lr_scheduler_type="linear",
        seed=config.seed,
        logging_steps=max(1, min(20, looks)),
        eval_strategy="steps" if has_dev else "no",
        eval_steps=looks if has_dev else None,
        save_strategy="steps",
        save_steps=looks,
        save_total_limit=2,
        load_best_model_at_end=has_dev,
        metric_for_best_model="eval_loss" if has_dev else None,
        greater_is_better=False if has_dev else None,
        remove_unused_columns=False,
        report_to="none",
        disable_tqdm=True,
        restore_callback_states_from_checkpoint=True,
        use_cpu=device.type == "cpu",
        dataloader_pin_memory=device.type == "cuda",
        log_level="error",
    )
