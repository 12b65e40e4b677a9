"""Where an adapter stands: beside maps of a language model, for what one thread has it read."""

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from threading import get_ident
from typing import Any

import torch
from torch import Tensor, nn

from personaplug.backbone.attention_maps import Hook, hooked


class Standing:
    """Has an adapter's paths stand on maps; several threads may have them there at once, each for itself."""

    def __init__(self) -> None:
        self._threads: set[int] = set()
        self._until: ExitStack | None = None

    @property
    def is_here(self) -> bool:
        """Whether the adapter stands there for this thread."""
        return get_ident() in self._threads

    @contextmanager
    def on(self, paths: Iterable[tuple[nn.Module, Hook]]) -> Iterator[None]:
        """Have paths beside maps, for what this thread has them read."""
        self._threads.add(thread := get_ident())
        until = self._until or ExitStack()
        until.callback(self._threads.discard, thread)
        until.enter_context(hooked([(each, _in_thread(thread, path)) for each, path in paths]))
        with nullcontext() if self._until else until:
            yield

    @contextmanager
    def staying(self) -> Iterator[None]:
        """Let paths stay where they stood until this is left."""
        with ExitStack() as self._until:
            try:
                yield
            finally:
                self._until = None


def _in_thread(thread: int, hook: Hook) -> Hook:
    """Leave alone what other threads have the model read.

    In a training they are torch's own: on a GPU, activations are computed again in the thread of the backward pass.
    """
    trains = torch.is_grad_enabled()

    def only(module: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> Tensor:
        is_ours = get_ident() == thread or (trains and torch.is_grad_enabled())
        return hook(module, inputs, output) if is_ours else output

    return only
