"""What a frozen decoder-only model made of inputs, kept in memory: their keys and values, a budget of bytes of them.

Where vectors stand after the input, what is before them is the same at every draw of a training.
"""

from collections.abc import Callable, Iterator, Sequence
from hashlib import blake2b

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from transformers import Cache, DynamicCache
from transformers.cache_utils import DynamicLayer

from personaplug.backbone.tokens import KeysAndValues, TokenEmbeddings, pad_rows

Read = Callable[[TokenEmbeddings], Cache]


class KeptInputs:
    """Keys and values of inputs, found again by the embeddings that were read.

    What is kept stays: a training comes by each input once an epoch, and whoever let the oldest go for the newest would
    find hardly any again.

    Args:
        budget: Bytes, on the language model's device.

    Attributes:
        rows: Of each input, by its name, a tensor ``[tokens, layers, 2, heads, dim]``.
        bytes: Kept so far.
        tokens: Of the inputs that are kept.
        found: Inputs that did not have to be read again.
        is_full: Whether an input did not fit.
    """

    def __init__(self, budget: int) -> None:
        self.budget = budget
        self.bytes = self.tokens = self.found = 0
        self.is_full = budget <= 0
        self.rows: dict[str, Tensor] = {}

    def __len__(self) -> int:
        """Count the inputs that are kept."""
        return len(self.rows)

    def keep(self, inputs: TokenEmbeddings, cache: Cache) -> None:
        """Keep what was made of a batch, as far as it fits; nothing of a model whose layers are not all alike."""
        if not self.is_full and (whole := _stacked(cache)) is not None:
            for row, mask, made in zip(inputs.rows, inputs.mask, whole, strict=True):
                self.take(_name(row), made[mask])

    def take(self, name: str, made: Tensor) -> None:
        """Keep what was made of one input, as far as it fits."""
        size = made.numel() * made.element_size()
        if name in self.rows:
            return
        if self.bytes + size > self.budget:
            self.is_full = True
            return
        self.rows[name] = made
        self.bytes += size
        self.tokens += len(made)

    def cache(self, inputs: TokenEmbeddings, read: Read) -> Cache:
        """Give the keys and values of a left-padded batch; ``read`` makes those of the inputs that are not kept."""
        rows = inputs.rows
        names = [_name(row) for row in rows]
        if not any(name in self.rows for name in names):
            return read(inputs)
        missing = [at for at, name in enumerate(names) if name not in self.rows]
        self.found += len(names) - len(missing)
        new = _read_rows([rows[at] for at in missing], inputs, read)
        return _padded([self.rows[name] if name in self.rows else next(new) for name in names])


def _name(row: Tensor) -> str:
    """Name an input by every bit that is read of it."""
    read = row.detach().contiguous().view(torch.uint8).cpu().numpy()
    return blake2b(read.data, digest_size=16).hexdigest()


def _read_rows(rows: Sequence[Tensor], like: TokenEmbeddings, read: Read) -> Iterator[Tensor]:
    if not rows:
        return iter(())
    inputs = pad_rows(rows, side=like.side)
    whole = _stacked(read(inputs))
    assert whole is not None, "a model of which something is kept gives what can be kept"
    return iter([made[mask] for made, mask in zip(whole, inputs.mask, strict=True)])


def keys_and_values(cache: Cache) -> KeysAndValues | None:
    """Give the keys and values of all layers.

    None where a layer keeps something else, such as the last tokens alone or a running state, or is of another shape.
    """
    layers = [layer for layer in cache.layers if type(layer) is DynamicLayer]
    pairs = [(each.keys, each.values) for each in layers if each.keys is not None and each.values is not None]
    if len(pairs) < len(cache.layers) or len({tensor.shape for pair in pairs for tensor in pair}) != 1:
        return None
    return tuple(pairs)


def _stacked(cache: Cache) -> Tensor | None:
    """Put the keys and values of all layers into one tensor ``[batch, tokens, layers, 2, heads, dim]``, if they can."""
    if (pairs := keys_and_values(cache)) is None:
        return None
    batch, heads, tokens, dim = pairs[0][0].shape
    whole = torch.stack([tensor for pair in pairs for tensor in pair], dim=1).permute(0, 3, 1, 2, 4)
    return whole.reshape(batch, tokens, len(pairs), 2, heads, dim)


def _padded(rows: Sequence[Tensor]) -> Cache:
    """Put inputs ``[tokens, layers, 2, heads, dim]`` side by side again, padded on the left."""
    whole = pad_sequence(list(rows), batch_first=True, padding_side="left").permute(2, 3, 0, 4, 1, 5)
    return DynamicCache([(keys, values) for keys, values in whole])
