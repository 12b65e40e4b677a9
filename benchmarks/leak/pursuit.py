"""The direct attack on a persona made of outputs: undo the public map, then look for the tokens of the sum.

``undone`` gives each vector as the weighted mean of token embeddings that it was made of, but for its length. Of few
tokens it is a sparse sum over the language model's table, which orthogonal matching pursuit finds (Pati et al., 1993).
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from benchmarks.leak.switches import Vectors
from personaplug.embedder.wording import WordingProjector

_CLOSE = 1e-3
"""Where so little of a vector is left, all its tokens are found."""

_ROUGHLY = 32
"""Tokens that are compared exactly, of those that bfloat16 finds nearest."""

Table = Float[Tensor, "tokens dim"]


@dataclass(frozen=True, slots=True)
class Found:
    """The tokens that add up to a vector, the heaviest first."""

    tokens: tuple[int, ...]
    weights: tuple[float, ...]


def undone(persona: Vectors, projector: WordingProjector) -> Vectors:
    """Undo ``gain * x + W x`` for the vectors of one projector; a square matrix near the identity, so it is exact."""
    matrix = projector.outer + projector.gain * torch.eye(len(projector.outer))
    solved: Tensor = torch.linalg.solve(matrix.detach(), persona.flatten(0, 1).T).T
    return solved.view(persona.shape)


def pursue(vectors: Float[Tensor, "rows dim"], table: Table, *, most: int) -> list[Found]:
    """Find for each vector up to ``most`` tokens whose embeddings add up to it; those that would be taken off are not.

    Args:
        vectors: Each by itself; the length does not matter.
        table: The language model's embeddings.
        most: Tokens at most.
    """
    goals = functional.normalize(vectors.float(), dim=-1)
    chosen = torch.zeros(len(goals), 0, dtype=torch.long)
    weights = goals.new_zeros(len(goals), 0)
    rest, rough = goals.clone(), functional.normalize(table, dim=-1).bfloat16().T
    for _ in range(most):
        open_rows = (rest.norm(dim=-1) > _CLOSE).nonzero()[:, 0]
        if not len(open_rows):
            break
        new = torch.full((len(goals), 1), -1)
        new[open_rows, 0] = _best(rest[open_rows], table, rough, without=chosen[open_rows])
        chosen = torch.cat([chosen, new], dim=1)
        weights, rest = _fitted(goals, chosen, table)
    return [_found(tokens, shares) for tokens, shares in zip(chosen.tolist(), weights.tolist(), strict=True)]


def nearest(vectors: Float[Tensor, "rows dim"], table: Table, *, most: int) -> list[Found]:
    """Give for each vector the tokens whose embeddings point most nearly its way, weighted by the cosine."""
    cosines = functional.normalize(vectors.float(), dim=-1) @ functional.normalize(table, dim=-1).T
    best = cosines.topk(most, dim=-1)
    return [
        Found(tuple(tokens), tuple(shares))
        for tokens, shares in zip(best.indices.tolist(), best.values.tolist(), strict=True)
    ]


def words_of(found: list[Found], of_token: Int[np.ndarray, " tokens"]) -> list[int]:
    """Name the words of several vectors of one user, those of the largest weight in all first."""
    weights: defaultdict[int, float] = defaultdict(float)
    for each in found:
        for token, weight in zip(each.tokens, each.weights, strict=True):
            if of_token[token] >= 0:
                weights[int(of_token[token])] += weight
    return sorted(weights, key=lambda word: -weights[word])


def _best(
    rest: Float[Tensor, "rows dim"], table: Table, rough: Tensor, *, without: Int[Tensor, "rows picks"]
) -> Int[Tensor, " rows"]:
    """Find the token that points most nearly each row's way: roughly first, then exactly among the best."""
    near = (rest.bfloat16() @ rough).float().scatter(1, without, -torch.inf).topk(min(_ROUGHLY, len(table)))
    exact = torch.einsum("rd,rkd->rk", rest, functional.normalize(table[near.indices], dim=-1))
    best = exact.masked_fill(near.values.isinf(), -torch.inf).argmax(dim=1, keepdim=True)
    return near.indices.gather(1, best)[:, 0]


def _fitted(goals: Tensor, chosen: Int[Tensor, "rows picks"], table: Table) -> tuple[Tensor, Tensor]:
    """Fit the chosen tokens' weights by least squares, and give what is left; -1 is no token."""
    is_real = chosen >= 0
    atoms = table[chosen.clamp(min=0)] * is_real[:, :, None]
    gram = atoms @ atoms.mT + 1e-6 * torch.eye(chosen.shape[1]) + torch.diag_embed((~is_real).float())
    weights = torch.linalg.solve(gram, (atoms @ goals[:, :, None]))[:, :, 0]
    return weights, goals - torch.einsum("rp,rpd->rd", weights, atoms)


def _found(tokens: list[int], weights: list[float]) -> Found:
    pairs = sorted(_real(tokens, weights), key=lambda pair: -pair[1])
    return Found(tuple(token for token, _ in pairs), tuple(weight for _, weight in pairs))


def _real(tokens: list[int], weights: list[float]) -> Iterator[tuple[int, float]]:
    return (pair for pair in zip(tokens, weights, strict=True) if pair[0] >= 0 and pair[1] > 0)
