"""A run's configuration in the words of ``transformers.Trainer``."""

from pathlib import Path

import torch
from transformers import TrainingArguments

from personaplug.plug.run import TrainingConfig
from personaplug.training.checkpoints import CHECKPOINTS


def trainer_arguments(
    config: TrainingConfig, folder: Path, *, device: torch.device, queries: int, processes: int, has_dev: bool
) -> TrainingArguments:
    """Write a configuration as the trainer reads it.

    Args:
        config: How the plug is fitted.
        folder: The run folder.
        device: Where to compute.
        queries: Training queries, which with the number of processes decide how often to evaluate on dev and save.
        processes: How many take each step together.
        has_dev: Whether there are dev queries; the best weights on them are then kept, the last ones otherwise.
    """
    steps = -(-queries // config.queries_a_step(processes))
    every = config.evaluate_every or max(1, round(steps * config.epochs / 4))
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
        logging_steps=max(1, min(20, every)),
        logging_nan_inf_filter=False,  # a loss that is no number ends the training
        eval_strategy="steps" if has_dev else "no",
        eval_steps=every if has_dev else None,
        save_strategy="steps",
        save_steps=every,
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
