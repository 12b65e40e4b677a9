"""One LoRA adapter a user as a method: the language model answers each query by way of its user's own adapter."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from personaplug.backbone.base import Backbone
from personaplug.backbone.generation_config import GenerationConfig
from personaplug.backbone.loading import load_backbone
from personaplug.errors import ConfigError
from personaplug.methods.prompted import Prompted
from personaplug.methods.retrieval import build_retriever, with_items, without_items
from personaplug.plug.query_source import QuerySource
from personaplug.plug.run_folder import check_task
from personaplug.records import Example
from personaplug.rivals.user_lora.adapters import UserAdapters, Weights
from personaplug.rivals.user_lora.run_folder import UserLoraFolder
from personaplug.tasks.task import Task

Ask = Callable[[Sequence[Example]], Sequence[str] | np.ndarray]

NOBODY = ""
"""Whose adapter is what all users start from: no user's id is empty."""


@dataclass(frozen=True, slots=True)
class UserLora:
    """Answers with the users' adapters, many users' in one batch; users without history get what all start from.

    Attributes:
        prompted: Writes the prompts and asks the language model.
        adapters: On that language model.
        run: Where the users' adapters are.
    """

    prompted: Prompted
    adapters: UserAdapters
    run: UserLoraFolder

    @property
    def name(self) -> str:
        """The name in tables."""
        return self.prompted.name

    def respond(self, examples: Sequence[Example]) -> list[str]:
        """Answer each example by its user's adapter.

        Raises:
            ConfigError: A user's adapter is not there, or has seen what is not earlier than the query.
        """
        return [str(answer) for answer in self._ask(examples, self.prompted.respond)]

    def log_likelihood(self, examples: Sequence[Example]) -> Float[np.ndarray, " examples"]:
        """Give the mean log-probability of a right answer's token, in nats."""
        return np.array(self._ask(examples, self.prompted.log_likelihood))

    def answer_tokens(self, examples: Sequence[Example]) -> Int[np.ndarray, " examples"]:
        """Count the right answers' tokens, their end included."""
        return self.prompted.answer_tokens(examples)

    def prompt_tokens(self, examples: Sequence[Example]) -> Int[np.ndarray, " examples"]:
        """Count the tokens that the language model reads of each example."""
        return self.prompted.prompt_tokens(examples)

    def user_bytes(self, examples: Sequence[Example]) -> Int[np.ndarray, " examples"]:
        """Count the bytes of each user's adapter on disk, and of the items that may be retrieved."""
        records = [self.run.adapters.record(example.profile.user_id) for example in examples]
        adapters = np.array([record.bytes if record else 0 for record in records])
        return np.asarray(adapters + self.prompted.user_bytes(examples))

    def _ask(self, examples: Sequence[Example], ask: Ask) -> list[object]:
        users = [self._user(example) for example in examples]
        loaded = {user: self._weights(user) for user in set(users) if user is not None}
        with self.adapters.answering(users, loaded):
            return list(ask(examples))

    def _weights(self, user: str) -> Weights:
        return self.run.start(self.adapters) if user == NOBODY else self.run.adapters.weights(user)

    def _user(self, example: Example) -> str | None:
        """Name the user whose adapter answers; None, which is the bare language model, where an untrained one would."""
        user = example.profile.user_id
        record = self.run.adapters.record(user)
        if record is None and example.profile.items:
            raise ConfigError(
                f"{self.run.path} holds no adapter of user {user!r}",
                hint="train with --resume, and the --split, --limit, --seed and --stranger that are evaluated",
            )
        if record is None or record.latest is None:
            return NOBODY if self.run.config.adaptation.epochs else None
        if record.latest >= example.time - self.run.task.history.embargo:
            raise ConfigError(
                f"the adapter of user {user!r} has seen {record.until}, too late for query {example.id!r}",
                hint="train another run for the split that is evaluated (with --stranger, for strangers)",
            )
        return user


def open_user_lora(folder: Path, task: Task, *, k: int | None, generation: GenerationConfig, device: str) -> UserLora:
    """Open a run as a method.

    Args:
        folder: The run.
        task: What is evaluated.
        k: Items in each prompt; None for as many as in training.
        generation: How to decode.
        device: Where to compute.

    Raises:
        ConfigError: The folder is no such run, or one of another task.
    """
    run = UserLoraFolder.open(folder)
    check_task(folder, run.task.name, wanted=task.name)
    prompted = prompts_of(run, k=run.config.items.k if k is None else k, generation=generation, device=device)
    adapters = adapters_of(run, prompted.backbone)
    if run.config.rests_on_task and run.has_start:
        run.start(adapters)
    return UserLora(prompted.joined_by(adapters.joined), adapters, run)


def prompts_of(run: UserLoraFolder, *, k: int, generation: GenerationConfig, device: str) -> Prompted:
    """Load a run's language model, with what writes its prompts, of so many items."""
    config, task = run.config, run.task
    plain = without_items(
        f"{config.method}, {config.items.retriever}" if k else config.method,
        task,
        backbone=load_backbone(config.backbone, device=device),
        generation=generation,
        max_input_tokens=config.training.max_input_tokens,
        max_output_tokens=config.training.max_output_tokens,
    )
    if not k:
        return plain
    retriever = build_retriever(
        config.items.retriever, task, store=None, encoder_name=None, query_source=QuerySource.ENCODER
    )
    return with_items(plain, task, retriever=retriever, k=k, item_tokens=config.items.item_tokens)


def adapters_of(run: UserLoraFolder, backbone: Backbone) -> UserAdapters:
    """Make the places for a run's adapters beside its language model."""
    return UserAdapters(backbone, run.config.adapter, seed=run.config.training.seed)
