"""What is done before the first answer, and again for what is new each day."""

from dataclasses import dataclass

from personaplug.planning.constants import Constants
from personaplug.planning.ways import Way, has_store, has_vectors
from personaplug.planning.workload import Workload

FLOPS_A_WEIGHT = 4
"""Of one token in training beside frozen weights: 2 forward, and 2 back through the states (arXiv 2001.08361)."""
_HOUR = 3600


@dataclass(frozen=True, slots=True)
class Preparation:
    """Work that is done once for some items.

    Attributes:
        texts: To encode; fewer where texts are equal, as each is encoded once.
        encoding_hours: Of a machine of two cores.
        writing_hours: Of the store's one writer, which stores what others have encoded.
        training_tokens: That a language model is trained on.
        training_hours: Of a GPU.
    """

    texts: float
    encoding_hours: float
    writing_hours: float
    training_tokens: float
    training_hours: float


def preparation_of(way: Way, load: Workload, known: Constants) -> Preparation:
    """Count what stands before the first answer; the plug is trained once, whatever the number of users."""
    queries = load.training_queries if way == "persona" else 0.0
    shared = queries * (load.example_tokens + load.persona_vectors)
    return _work(way, load, known=known, items=load.all_items, shared=shared)


def daily_work_of(way: Way, load: Workload, known: Constants) -> Preparation:
    """Count what each day's new items ask for; an adapter is trained on these alone, which is the least it can be."""
    return _work(way, load, known=known, items=load.new_items, shared=0.0)


def _work(way: Way, load: Workload, *, known: Constants, items: float, shared: float) -> Preparation:
    texts = items * load.views if has_vectors(way, load) else 0.0
    own = items * load.epochs * load.example_tokens if way == "adapter" else 0.0
    tokens = shared + own
    flops = FLOPS_A_WEIGHT * load.model.weights * tokens
    stored = items if has_store(way) else 0.0
    return Preparation(
        texts,
        encoding_hours=texts / known.texts_per_second / _HOUR,
        writing_hours=stored / known.written_per_second / _HOUR,
        training_tokens=tokens,
        training_hours=flops / (known.training_teraflops * 1e12) / _HOUR,
    )
