"""The ecosystem's trainer over a plug: its checkpoints, resume, logging, DDP and DeepSpeed come with it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from hashlib import sha256
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import Sampler, Subset
from transformers import (
    EarlyStoppingCallback,
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

from personaplug.backbone.base import Backbone
from personaplug.embedder.checkpoint import check_finite, write_tensors
from personaplug.embedder.encoder import TextEncoder
from personaplug.embedder.instruction import SoftPrompt
from personaplug.plug.model import PersonaPlug
from personaplug.plug.run_folder import WEIGHTS
from personaplug.plug.shared_adapter import SharedAdapter
from personaplug.records import Example
from personaplug.training.arguments import trainer_arguments
from personaplug.training.batches import LengthGroupedSampler, TrainingSet, count_tokens
from personaplug.training.checkpoints import CHECKPOINTS, METRICS
from personaplug.training.divergence import check_loss
from personaplug.training.metrics_log import MetricsLog
from personaplug.training.progress import TrainingProgress


class PlugTrainer(Trainer):
    """``transformers.Trainer`` over a plug's own batches.

    Args:
        plug: What to train.
        examples: Training queries.
        dev: Dev queries.
        folder: The run folder.
        stepping: The language model of the steps, in their precision; dev is read by the plug's own.
        on_progress: Called at each logged step.
    """

    def __init__(
        self,
        plug: PersonaPlug,
        examples: Sequence[Example],
        *,
        dev: Sequence[Example],
        folder: Path,
        stepping: Backbone | None = None,
        on_progress: Callable[[TrainingProgress], None] | None,
    ) -> None:
        config = plug.run.training
        self.plug = plug
        self.stepping = stepping or plug.backbone
        self.config = config
        self._last_step, self._part = -1, 0
        callbacks: list[TrainerCallback] = [
            _BestCheckpoint(folder / CHECKPOINTS),
            MetricsLog(folder / METRICS, on_progress),
        ]
        if dev and config.patience:
            callbacks.append(EarlyStoppingCallback(config.patience))
        super().__init__(
            model=plug,
            args=trainer_arguments(
                config, folder, device=plug.backbone.device, queries=len(examples), has_dev=bool(dev)
            ),
            data_collator=lambda batch: {"batch": plug.batcher(batch)},
            train_dataset=TrainingSet(
                examples,
                seed=config.seed,
                drops_history=config.history_dropout,
                without=config.without_history if plug.run.has_persona else 0.0,
            ),
            eval_dataset=_longest_first(plug, dev) if dev else None,
            callbacks=callbacks,
        )
        self.remove_callback(PrinterCallback)
        self.dev_answer = self._answer_tokens([example.target or "" for example in dev]) if dev else 0.0

    def create_optimizer(self, model: nn.Module | None = None) -> torch.optim.Optimizer:  # noqa: ARG002 (the trainer's signature)
        """Give each kind of weight its own learning rate."""
        if self.optimizer is None:
            vectors, encoder = _weights(self.plug, SoftPrompt), _weights(self.plug, TextEncoder)
            adapter = _weights(self.plug, SharedAdapter)
            others = {*vectors, *encoder, *adapter}
            maps = [weight for weight in self.plug.parameters() if weight not in others]
            groups = [
                {"params": maps, "lr": self.config.learning_rate},
                {"params": vectors, "lr": self.config.vector_learning_rate},
                {"params": encoder, "lr": self.config.encoder_learning_rate},
            ]
            if adapter:
                groups.append({"params": adapter, "lr": self.config.adapter_learning_rate})
            self.optimizer = torch.optim.AdamW(self._decayed(groups), weight_decay=self.config.weight_decay, fused=True)
        return self.optimizer

    def _decayed(self, groups: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Split each group in weights that decay and those that do not, where there are such."""
        if self.config.decays_all:
            return groups
        named = set(self.get_decay_parameter_names(self.plug))
        decaying = {weight for name, weight in self.plug.named_parameters() if name in named}
        kept = [group | {"params": [each for each in group["params"] if each in decaying]} for group in groups]
        free = [group | {"params": [each for each in group["params"] if each not in decaying]} for group in groups]
        return [*kept, *(group | {"weight_decay": 0.0} for group in free)]

    @contextmanager
    def _dropping(self) -> Iterator[None]:
        """Have dropout on for a part of a step, drawn by seed, step, part and process: a resumed run draws the same."""
        if not (self.config.backbone_dropout or self.config.encoder_dropout):
            yield
            return
        step = self.state.global_step
        self._part = self._part + 1 if self._last_step == step else 0
        self._last_step = step
        draw = f"{self.config.seed}/{step}/{self._part}/{self.args.process_index}"
        devices = [self.plug.backbone.device] if self.plug.backbone.device.type == "cuda" else []
        with torch.random.fork_rng(devices):
            torch.manual_seed(int.from_bytes(sha256(draw.encode()).digest()[:8], "big") >> 1)
            if not self.config.backbone_dropout:
                yield
                return
            self.stepping.model.train()
            try:
                yield
            finally:
                self.stepping.model.eval()

    @contextmanager
    def _stepping(self) -> Iterator[None]:
        """Have the plug read with the language model of the steps."""
        own, self.plug.backbone = self.plug.backbone, self.stepping
        try:
            yield
        finally:
            self.plug.backbone = own

    def _adapted(self) -> AbstractContextManager[None]:
        """Have the adapter of all users stay until the gradients are there: what is recomputed for them needs it."""
        return self.plug.adapter.staying() if self.plug.adapter else nullcontext()

    def training_step(self, *arguments: Any, **options: Any) -> Tensor:  # noqa: ANN401 (the trainer's signature)
        """Take a part of a step, and stop where its loss is no number."""
        with self._dropping(), self._stepping(), self._adapted():
            loss = super().training_step(*arguments, **options)
        check_loss(loss, step=self.state.global_step + 1)
        return loss

    def prediction_step(
        self, model: nn.Module, inputs: Mapping[str, Any], *_: object, **__: object
    ) -> tuple[Tensor, None, None]:
        """Give the loss of a dev batch; answers are the evaluation's business.

        The trainer counts a batch by its queries, whose answers differ in length from batch to batch: weighed by these
        lengths its mean is the loss of an answer token, however the batches were cut.
        """
        weight = self._answer_tokens(inputs["batch"].targets) / self.dev_answer
        with torch.inference_mode():
            return weight * model(**inputs)["loss"].detach(), None, None

    def _answer_tokens(self, targets: Sequence[str]) -> float:
        """Give the mean length of answers."""
        return fmean(self.plug.backbone.count_answer_tokens(targets, max_tokens=self.config.max_output_tokens))

    def _get_train_sampler(self, *_: object) -> Sampler[int]:
        assert isinstance(self.train_dataset, TrainingSet)
        lengths = count_tokens(self.plug, self.train_dataset.examples)
        size = self.config.batch_size * self.config.gradient_accumulation
        return LengthGroupedSampler(lengths, batch_size=size, seed=self.config.seed)

    def _save(self, output_dir: str | None = None, state_dict: dict[str, Tensor] | None = None) -> None:
        """Save the trained weights alone; the trainer's own way would pickle its arguments beside them."""
        folder = Path(output_dir or str(self.args.output_dir))
        state = state_dict or self.plug.state_dict()
        check_finite(state, where=folder)
        folder.mkdir(parents=True, exist_ok=True)
        write_tensors(state, folder / WEIGHTS, metadata={"format": "pt"})


def _longest_first(plug: PersonaPlug, dev: Sequence[Example]) -> Subset[Example]:
    """Put queries of similar length side by side, so that little of a batch is padding."""
    lengths = count_tokens(plug, dev)
    order = sorted(range(len(dev)), key=lambda index: -lengths[index])
    return Subset(TrainingSet(dev, seed=0, drops_history=False), order)


def _weights(plug: PersonaPlug, kind: type[nn.Module]) -> list[nn.Parameter]:
    """Find the weights of all modules of a kind, always in the same order: the optimizer's states follow it."""
    return [weight for module in plug.modules() if isinstance(module, kind) for weight in module.parameters()]


class _BestCheckpoint(TrainerCallback):
    """Finds the best weights so far again where a run was moved, or is resumed from another directory.

    The trainer remembers a path, and keeps the last weights where there is nothing at it.
    """

    def __init__(self, checkpoints: Path) -> None:
        self.checkpoints = checkpoints

    def on_train_begin(
        self,
        args: TrainingArguments,  # noqa: ARG002 (the trainer's protocol)
        state: TrainerState,
        control: TrainerControl,  # noqa: ARG002
        **_: object,
    ) -> None:
        """Rebuild the path from the step."""
        if state.best_global_step is not None:
            state.best_model_checkpoint = str(self.checkpoints / f"{PREFIX_CHECKPOINT_DIR}-{state.best_global_step}")
