"""Train the adapters of a few users, as a test does or as a process of its own that dies at a user."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from personaplug.backbone.loading import BackboneConfig, load_backbone
from personaplug.records import Example, Profile
from personaplug.rivals.user_lora.adapter_folder import AdapterRecord
from personaplug.rivals.user_lora.adapters import LoraConfig, UserAdapters
from personaplug.rivals.user_lora.history_examples import histories_of
from personaplug.rivals.user_lora.run import AdaptationConfig, UserLoraConfig, UserTrainingConfig
from personaplug.rivals.user_lora.run_folder import UserLoraFolder
from personaplug.rivals.user_lora.training import adapt, train_users
from tests.factories import START, make_item
from tests.processes import die
from tests.world import TASK, plain_prompts

COUNTS = {"ada": 3, "ben": 5, "cyd": 9, "nobody": 0}
TRAINING = UserTrainingConfig(epochs=2.0, batch_size=4, learning_rate=3e-2)
ADAPTATION = AdaptationConfig(epochs=2.0, batch_size=2, learning_rate=3e-2)


def ask(user: str, *, day: int = 50, says: str = "", number: int = 0) -> Example:
    """Ask a user who always answers alike: with ``says``, or else with their own name."""
    items = tuple(make_item(at, f"your view about {'xyz'[at % 3]}", says or user) for at in range(COUNTS[user]))
    time = START + timedelta(days=day)
    return Example(f"{user}-{number}", Profile(user, items), f"your own view about {'zyx'[number % 3]}", user, time)


def make_run(
    path: Path,
    backbone: str,
    *,
    training: UserTrainingConfig = TRAINING,
) -> UserLoraFolder:
    """Describe a run of a tiny model."""
    config = UserLoraConfig(
        task="world", backbone=BackboneConfig(backbone), adapter=LoraConfig(rank=2), training=training
    )
    return UserLoraFolder(path, config, TASK)


def make_adapters(run: UserLoraFolder) -> UserAdapters:
    """Load the run's language model, with places for adapters."""
    return UserAdapters(load_backbone(run.config.backbone), run.config.adapter, seed=run.config.training.seed)


def train(
    run: UserLoraFolder, examples: Sequence[Example], adapters: UserAdapters | None = None, **options
) -> list[AdapterRecord]:
    """Train the adapters of all users who ask, with plain prompts."""
    return train_users(
        run,
        adapters or make_adapters(run),
        histories=histories_of(examples),
        write=options.pop("write", plain_prompts),
        max_input_tokens=64,
        **options,
    )


def adapt_run(run: UserLoraFolder, examples: Sequence[Example], adapters: UserAdapters) -> None:
    """Adapt what a run's users start from, with plain prompts."""
    adapt(run, adapters, examples=examples, write=plain_prompts, max_input_tokens=64)


def train_until(last_user: str, model: str, folder: Path) -> None:
    """Train, and kill this process while a user's adapter is being written."""
    run = make_run(folder, model)
    adapters = make_adapters(run)
    save, trained = adapters.save, list(COUNTS)

    def watched(weights, place):
        save(weights, place)
        if trained.pop(0) == last_user:
            die()

    adapters.save = watched
    train(run, [ask(user) for user in COUNTS], adapters)


def later(example: Example, days: int) -> Example:
    """Ask the same later."""
    return replace(example, id=f"{example.id} later", time=example.time + timedelta(days=days))
