"""What a training logs, a line of ``metrics.jsonl`` at a time."""

import json
from collections.abc import Callable
from pathlib import Path

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from personaplug.training.checkpoints import read_metrics
from personaplug.training.progress import TrainingProgress


class MetricsLog(TrainerCallback):
    """Append what the trainer logs to ``metrics.jsonl`` and tell the caller how far it is."""

    def __init__(self, path: Path, on_progress: Callable[[TrainingProgress], None] | None) -> None:
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
        logs = dict(logs or {})
        if "train_loss" in logs:
            logs["train_loss"] = self._mean_loss(steps=state.global_step)
        self.latest |= logs
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": state.global_step, **logs}) + "\n")
        if self.on_progress:
            loss, dev_loss = self.latest.get("loss"), self.latest.get("eval_loss")
            self.on_progress(TrainingProgress(state.global_step, state.max_steps, loss, dev_loss))

    def _mean_loss(self, *, steps: int) -> float:
        """Average over all steps, those before an interruption too, which the trainer's own mean leaves out."""
        total, last = 0.0, 0
        for line in read_metrics(self.path):
            if "loss" in line:
                total, last = total + line["loss"] * (line["step"] - last), line["step"]
        return total / max(1, steps)
