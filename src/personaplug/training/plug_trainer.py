"""The ecosystem's trainer over a plug: its checkpoints, resume, logging, DDP and DeepSpeed come with it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from accelerate.data_loader import prepare_data_loader
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, Sampler, SequentialSampler, Subset
from transformers import (
    EarlyStoppingCallback,
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR, EvalLoopOutput

from personaplug.backbone.base import Backbone
from personaplug.embedder.checkpoint import check_finite, write_tensors
from personaplug.embedder.copy_head import CopyHead
from personaplug.embedder.encoder import TextEncoder
from personaplug.embedder.instruction import SoftPrompt
from personaplug.embedder.running_mean import RunningMean
from personaplug.plug.model import PersonaPlug
from personaplug.plug.run_folder import WEIGHTS
from personaplug.plug.shared_adapter import SharedAdapter
from personaplug.records import Example
from personaplug.training.arguments import trainer_arguments
from personaplug.training.batches import LengthGroupedSampler, Share, TrainingSet, count_tokens
from personaplug.training.checkpoints import CHECKPOINTS, METRICS
from personaplug.training.divergence import check_loss
from personaplug.training.metrics_log import MetricsLog
from personaplug.training.processes import ALONE, Processes
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
        processes: That take each step together.
    """

    loss_is_scaled_for_ga = True  # a part's loss is its share of the step's: see compute_loss

    def __init__(
        self,
        plug: PersonaPlug,
        examples: Sequence[Example],
        *,
        dev: Sequence[Example],
        folder: Path,
        stepping: Backbone | None = None,
        on_progress: Callable[[TrainingProgress], None] | None,
        processes: Processes = ALONE,
    ) -> None:
        config = plug.run.training
        self.plug = plug
        self.stepping = stepping or plug.backbone
        self.config = config
        self.processes = processes
        self._last_step, self._part = -1, 0
        self._counts = True
        for mean in (module for module in plug.modules() if isinstance(module, RunningMean)):
            mean.over_all = self._over_all
        callbacks: list[TrainerCallback] = [
            _BestCheckpoint(folder / CHECKPOINTS),
            MetricsLog(folder / METRICS, on_progress),
        ]
        if dev and config.patience:
            callbacks.append(EarlyStoppingCallback(config.patience))
        super().__init__(
            model=plug,
            args=trainer_arguments(
                config,
                folder,
                device=plug.backbone.device,
                queries=len(examples),
                processes=processes.count,
                has_dev=bool(dev),
            ),
            data_collator=self._collate,  # type: ignore[arg-type]  # of what the set gives for a batch
            train_dataset=TrainingSet(
                examples,
                seed=config.seed,
                drops_history=config.history_dropout,
                without=config.without_history if plug.run.has_persona else 0.0,
                processes=processes,
            ),
            eval_dataset=_longest_first(plug, dev, processes) if dev else None,
            callbacks=callbacks,
        )
        self.remove_callback(PrinterCallback)

    def create_optimizer(self, model: nn.Module | None = None) -> torch.optim.Optimizer:  # noqa: ARG002 (the trainer's signature)
        """Give each kind of weight its own learning rate."""
        if self.optimizer is None:
            vectors = [*_weights(self.plug, SoftPrompt), *_weights(self.plug, CopyHead)]
            encoder = _weights(self.plug, TextEncoder)
            adapter = _weights(self.plug, SharedAdapter)
            others = {*vectors, *encoder, *adapter}
            maps = [weight for weight in self.plug.parameters() if weight not in others]
            groups = [
                {"params": maps, "lr": self.config.learning_rate},
                {"params": vectors, "lr": self.config.vector_learning_rate},
                {"params": encoder, "lr": self.config.encoder_learning_rate},
            ]
            rate = self.config.persona_adapter_learning_rate
            apart = self.plug.adapter.apart if self.plug.adapter and rate else []
            if apart:
                groups.append({"params": apart, "lr": rate})
                adapter = [weight for weight in adapter if weight not in {*apart}]
            if adapter:
                groups.append({"params": adapter, "lr": self.config.adapter_learning_rate})
            self.optimizer = torch.optim.AdamW(self._decayed(groups), weight_decay=self.config.weight_decay, fused=True)
        return self.optimizer

    def _clip_grad_norm(self, model: nn.Module) -> Tensor | None:
        """Clip what answers without a persona by itself, so that it learns as if there were nothing else."""
        alone = self.plug.adapter.alone if self.plug.adapter else []
        if not alone:
            whole: Tensor | None = super()._clip_grad_norm(model)  # type: ignore[no-untyped-call]
            return whole
        self.accelerator.clip_grad_norm_(alone, self.args.max_grad_norm)
        by_itself = set(alone)
        # In their order: a sum's last bits depend on it, and so would the run.
        others = [weight for weight in model.parameters() if weight not in by_itself]
        norm: Tensor | None = self.accelerator.clip_grad_norm_(others, self.args.max_grad_norm)
        return norm

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
        """Take a part of a step, give its loss over all processes, and stop where that is no number."""
        with self._dropping(), self._stepping(), self._adapted():
            loss = super().training_step(*arguments, **options)
        if self.processes.count > 1:
            loss = torch.full_like(loss, self.processes.sum(float(loss)) / self.processes.count)
        check_loss(loss, step=self.state.global_step + 1)
        return loss

    def compute_loss(  # type: ignore[override]  # (the trainer's has an option to give outputs too)
        self, model: nn.Module, inputs: Mapping[str, Any], *, num_items_in_batch: int, **_: object
    ) -> Tensor:
        """Give a batch's part of the step's loss: a mean over its answer tokens, however they were cut into batches.

        The mean of the processes' gradients is what the optimizer takes, so a part counts as many times as there are
        processes.
        """
        self._counts = inputs["tokens"] > 0
        weight = self.processes.count * inputs["tokens"] / num_items_in_batch
        loss: Tensor = weight * model(batch=inputs["batch"])["loss"]
        return loss

    def _over_all(self, own: Tensor) -> Tensor:
        """Add up what the processes' shares of a batch have, where they count."""
        if self.processes.count == 1:
            return own
        return torch.stack(self.processes.gathered(self._counts * own.cpu())).sum(dim=0).to(own.device)

    def _get_num_items_in_batch(self, batch_samples: Sequence[Mapping[str, Any]], *_: object) -> int:
        """Count the answer tokens of a step, in all of its batches and all processes."""
        return int(self.processes.sum(sum(each["tokens"] for each in batch_samples)))

    @torch.no_grad()
    def evaluation_loop(
        self, dataloader: DataLoader[Any], *_: object, metric_key_prefix: str = "eval", **__: object
    ) -> EvalLoopOutput:
        """Give the loss of an answer token on dev, however it was cut; answers are the evaluation's business."""
        self.plug.eval()
        parts = [(self.plug.loss(each["batch"]).double() * each["tokens"], each["tokens"]) for each in dataloader]
        loss = self.processes.sum(float(sum(part for part, _ in parts)))
        tokens = self.processes.sum(sum(count for _, count in parts))
        dev: Any = dataloader.dataset
        nothing: Any = None
        return EvalLoopOutput(nothing, nothing, {f"{metric_key_prefix}_loss": loss / tokens}, len(dev))

    def _collate(self, share: Share) -> dict[str, Any]:
        """Make a batch of a share, and count the answer tokens by which it weighs."""
        batch, longest = self.plug.batcher(share.examples), self.config.max_output_tokens
        counted = self.plug.backbone.count_answer_tokens(batch.targets, max_tokens=longest) if share.counts else []
        return {"batch": batch, "tokens": sum(counted)}

    def _get_dataloader(
        self,
        dataset: Dataset[Any],
        *_: object,
        sampler_fn: Callable[[Dataset[Any]], Sampler[int]] | None = None,
        **__: object,
    ) -> DataLoader[Any]:
        """Load the batches of all processes, of which the data set reads this one's share."""
        loader: DataLoader[Any] = DataLoader(
            dataset,
            batch_size=self.config.batch_size * self.processes.count,
            sampler=sampler_fn(dataset) if sampler_fn else None,
            collate_fn=self.data_collator,
            pin_memory=self.args.dataloader_pin_memory,
        )
        whole: DataLoader[Any] = prepare_data_loader(loader, num_processes=1, process_index=0)
        return whole

    def _get_train_sampler(self, *_: object) -> Sampler[int]:
        assert isinstance(self.train_dataset, TrainingSet)
        lengths = count_tokens(self.plug, self.train_dataset.examples, processes=self.processes)
        size = self.config.queries_a_step(self.processes.count)
        return LengthGroupedSampler(lengths, batch_size=size, seed=self.config.seed)

    def _get_eval_sampler(self, eval_dataset: Dataset[Any]) -> Sampler[int]:
        return SequentialSampler(eval_dataset)  # type: ignore[arg-type]

    def _save(self, output_dir: str | None = None, state_dict: dict[str, Tensor] | None = None) -> None:
        """Save the trained weights alone; the trainer's own way would pickle its arguments beside them."""
        folder = Path(output_dir or str(self.args.output_dir))
        state = state_dict or self.plug.state_dict()
        check_finite(state, where=folder)
        folder.mkdir(parents=True, exist_ok=True)
        write_tensors(state, folder / WEIGHTS, metadata={"format": "pt"})


def _longest_first(plug: PersonaPlug, dev: Sequence[Example], processes: Processes) -> Subset[Example]:
    """Put queries of similar length side by side, so that little of a batch is padding."""
    lengths = count_tokens(plug, dev, processes=processes)
    order = sorted(range(len(dev)), key=lambda index: -lengths[index])
    return Subset(TrainingSet(dev, seed=0, drops_history=False, processes=processes), order)


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
