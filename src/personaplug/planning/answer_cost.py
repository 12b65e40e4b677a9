"""What one answer takes: a GPU to read the prompt and to write, and a processor beside it."""

from dataclasses import dataclass

from personaplug.planning.constants import Constants
from personaplug.planning.storage import adapter_bytes, text_bytes, vector_bytes
from personaplug.planning.ways import Way, has_store, has_vectors
from personaplug.planning.workload import BYTES_A_WEIGHT, Workload

FLOPS_A_WEIGHT = 2
"""Of one token that is read or written: a product and a sum (Kaplan and others, arXiv 2001.08361, table 1)."""
CORES = 2
"""Of the machine whose texts a second are known."""
_FETCHED_ITEMS = 100
"""Of the history whose fetch is known."""


@dataclass(frozen=True, slots=True)
class AnswerCost:
    """What one answer takes in a full batch.

    Attributes:
        prompt_tokens: Read by the language model, persona vectors among them.
        reading_ms: Of a GPU.
        writing_ms: Of a GPU.
        gpu_ms: Both.
        core_ms: Of a processor's core, to encode the question, fetch the history and rank items.
        fetched_bytes: Of the user's own, where memory does not hold it.
    """

    prompt_tokens: float
    reading_ms: float
    writing_ms: float
    gpu_ms: float
    core_ms: float
    fetched_bytes: float


def answer_of(way: Way, load: Workload, known: Constants) -> AnswerCost:
    """Add up what one answer takes."""
    tokens = prompt_tokens(way, load)
    reading = 1e3 * tokens * FLOPS_A_WEIGHT * load.model.weights / (known.reading_teraflops * 1e12)
    writing = load.answer_tokens / load.batch * _step_ms(way, load, known)
    fetched = own_bytes(way, load, known)
    return AnswerCost(tokens, reading, writing, reading + writing, _core_ms(way, load, known), fetched)


def prompt_tokens(way: Way, load: Workload) -> float:
    """Count what the language model reads."""
    return (
        load.input_tokens + {"persona": load.persona_vectors, "items": load.k * load.item_tokens, "adapter": 0.0}[way]
    )


def batch_bytes(way: Way, load: Workload, *, written: float) -> float:
    """Say what a batch holds of its answers: keys and values of prompts and of what is written, and adapters."""
    adapter = BYTES_A_WEIGHT * load.model.adapter_weights(load.rank) if way == "adapter" else 0.0
    return load.batch * ((prompt_tokens(way, load) + written) * load.model.bytes_a_token + adapter)


def own_bytes(way: Way, load: Workload, known: Constants) -> float:
    """Say what is fetched of one user: a history's texts with vectors, or an adapter."""
    if not has_store(way):
        return adapter_bytes(load)
    return load.items * (text_bytes(load, known) + vector_bytes(way, load))


def _step_ms(way: Way, load: Workload, known: Constants) -> float:
    """Say how long a token of each answer in the batch takes: as its slowest part (Pope and others, arXiv 2211.05102).

    All weights are read once for the whole batch; half of an answer is written, in the mean, when a token is.
    """
    read = load.model.size + batch_bytes(way, load, written=load.answer_tokens / 2)
    computed = load.batch * FLOPS_A_WEIGHT * load.model.weights
    launched = load.model.layers * known.layer_ms if load.engine == "local" else 0.0
    return max(
        1e3 * read / (known.writing_terabytes * 1e12), 1e3 * computed / (known.reading_teraflops * 1e12), launched
    )


def _core_ms(way: Way, load: Workload, known: Constants) -> float:
    question = 1e3 * CORES / known.texts_per_second if has_vectors(way, load) else 0.0
    fetched = known.fetch_ms * load.items / _FETCHED_ITEMS if has_store(way) else 0.0
    ranked = known.bm25_ms * load.items if way == "items" and load.items_by == "bm25" else 0.0
    return question + fetched + ranked
