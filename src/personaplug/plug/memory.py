"""What each item of a history meant to an answer."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from personaplug.plug.batch import PlugBatch
from personaplug.plug.prefix import PersonaPrefix
from personaplug.records import HistoryItem


@dataclass(frozen=True, slots=True)
class Memory:
    """What one history item meant to one answer.

    Attributes:
        item: The item.
        weight: Its share of the persona, averaged over the ways of weighing; all shares of a history sum to one.
        weights: Its share by each way of weighing: one a persona vector, or one for all that are made of outputs, and
            one more where they have a part that weighs all items alike.
        similarity: Cosine of its first view and the query.
        age_days: Days between it and the question.
        is_in_prompt: Whether it also stands in the prompt as text; said by ``PersonaPlug.explain`` alone.
    """

    item: HistoryItem
    weight: float
    weights: tuple[float, ...]
    similarity: float
    age_days: float
    is_in_prompt: bool = False


def weigh(prefix: PersonaPrefix, batch: PlugBatch, *, histories: Sequence[Sequence[HistoryItem]]) -> list[list[Memory]]:
    """Weigh the items of each example of a batch.

    Args:
        prefix: Makes the personas.
        batch: The examples.
        histories: The items that the batch holds of each, oldest first.
    """
    query = prefix.query(batch)
    weights = prefix.embedder.weights(query, batch.history).mT.cpu()
    similarities = torch.einsum("bid,bd->bi", batch.history.keys, query).cpu()
    ages = batch.history.ages.cpu()
    return [
        _memories(items, weights[row], similarities=similarities[row], ages=ages[row])
        for row, items in enumerate(histories)
    ]


def _memories(
    items: Sequence[HistoryItem],
    weights: Float[Tensor, "longest personas"],
    *,
    similarities: Float[Tensor, " longest"],
    ages: Float[Tensor, " longest"],
) -> list[Memory]:
    rows = zip(weights.mean(dim=1).tolist(), weights.tolist(), similarities.tolist(), ages.tolist(), strict=True)
    return [
        Memory(item, weight, tuple(each), similarity, age)
        for item, (weight, each, similarity, age) in zip(items, rows, strict=False)  # shorter histories are padded
    ]
