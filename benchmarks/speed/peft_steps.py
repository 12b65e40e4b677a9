"""Training as PEFT and transformers do it: their trainer at its defaults, over what ours reads and writes."""

from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path

from peft import PeftConfig, get_peft_model
from torch.utils.data import Dataset
from transformers import DataCollatorForSeq2Seq, PrinterCallback, Trainer, TrainingArguments

from benchmarks.speed.training import Course
from personaplug.plug.model import PersonaPlug
from personaplug.records import Example


def peft_steps(
    plug: PersonaPlug, examples: Sequence[Example], config: PeftConfig, *, course: Course, folder: Path
) -> Trainer:
    """Make a trainer at its defaults over a copy of a plug's language model; each ``train`` takes a turn's steps.

    It draws its batches from the examples that ours are drawn from, and pads them to their longest.
    """
    arguments = TrainingArguments(
        output_dir=str(folder),
        per_device_train_batch_size=course.batch,
        max_steps=course.steps,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        log_level="error",
        use_cpu=True,
    )
    trainer = Trainer(
        model=get_peft_model(deepcopy(plug.backbone.model), config),
        args=arguments,
        train_dataset=_Rows([tokens_of(plug, example) for example in examples]),
        data_collator=DataCollatorForSeq2Seq(plug.backbone.tokenizer),
    )
    trainer.remove_callback(PrinterCallback)
    return trainer


def tokens_of(plug: PersonaPlug, example: Example) -> dict[str, list[int]]:
    """Write what our side reads and writes of an example as token ids; the loss is on the answer alone."""
    tokenizer, (prompt,), limits = plug.backbone.tokenizer, plug.prompts([example]), plug.run.training
    read = plug.backbone.cut(prompt, max_tokens=limits.max_input_tokens)
    asked = list(tokenizer(plug.backbone.framed(read), add_special_tokens=False).input_ids)
    said = list(tokenizer(example.target or "", add_special_tokens=False).input_ids)[: limits.max_output_tokens - 1]
    said = [*said, tokenizer.eos_token_id]
    return {
        "input_ids": asked + said,
        "attention_mask": [1] * len(asked + said),
        "labels": [-100] * len(asked) + said,
    }


class _Rows(Dataset[dict[str, list[int]]]):
    def __init__(self, rows: Sequence[dict[str, list[int]]]) -> None:
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, at: int) -> dict[str, list[int]]:
        return self.rows[at]
