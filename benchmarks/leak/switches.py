"""What an owner could do to vectors before handing them out: the switches whose leak and price are measured."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor

Vectors = Float[Tensor, "rows vectors dim"]
Change = Callable[[Vectors], Vectors]


@dataclass(frozen=True, slots=True)
class Switch:
    """One way of giving less.

    Attributes:
        name: In tables.
        items: Latest items of a history that are taken at most; 0 for all.
        temperature: Of the attention, in place of the trained one.
        change: What is done to the vectors in the end.
    """

    name: str
    items: int = 0
    temperature: float | None = None
    change: Change = lambda vectors: vectors


NONE = Switch("none")
FEWER = Switch("latest 4 items", items=4)
EVEN = Switch("temperature 1", temperature=1.0)
INT8 = Switch("int8", change=lambda vectors: rounded(vectors, levels=127))


def all_switches(known: Vectors, *, seed: int) -> list[Switch]:
    """Give every switch of a persona, none first; ``known`` are other users' personas."""
    return [NONE, INT8, FEWER, EVEN, *noises(0.5, 1.0, 2.0, seed=seed), *dimensions(128, 32, known=known)]


def noises(*sizes: float, seed: int) -> list[Switch]:
    """Give Gaussian noise of these lengths, each as a share of the vector's own; drawn anew at every call."""
    made = torch.Generator().manual_seed(seed)
    return [Switch(f"noise {size:g}", change=partial(noisy, size=size, generator=made)) for size in sizes]


def dimensions(*counts: int, known: Vectors) -> list[Switch]:
    """Give projections on the main directions of each vector in other users' personas."""
    return [
        Switch(f"{count} dimensions", change=partial(flattened, bases=bases(known, count=count))) for count in counts
    ]


def rounded(vectors: Vectors, *, levels: int) -> Vectors:
    """Round each vector to whole steps of its largest number."""
    step = vectors.abs().amax(dim=-1, keepdim=True).clamp(min=1e-12) / levels
    return (vectors / step).round() * step


def noisy(vectors: Vectors, *, size: float, generator: torch.Generator) -> Vectors:
    """Add noise that is about ``size`` times as long as each vector."""
    drawn = torch.randn(vectors.shape, generator=generator)
    return vectors + size * vectors.norm(dim=-1, keepdim=True) * drawn / vectors.shape[-1] ** 0.5


def bases(known: Vectors, *, count: int) -> Float[Tensor, "vectors count dim"]:
    """Find the main directions of each vector, by singular values."""
    return torch.stack([torch.linalg.svd(rows, full_matrices=False).Vh[:count] for rows in known.unbind(dim=1)])


def flattened(vectors: Vectors, *, bases: Float[Tensor, "vectors count dim"]) -> Vectors:
    """Keep what lies in the main directions."""
    return torch.einsum("rvd,vcd,vce->rve", vectors, bases, bases)
