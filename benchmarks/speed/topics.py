"""Which rows of the results stand in which table of which page, and what they are called there."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Line:
    """What is compared with what.

    Attributes:
        what: Ours.
        against: The opponent.
        rows: Names in the results, one a column of figures; an empty one where nothing of the kind can be measured.
        ours: The detail that says what ours takes by itself; none by default.
    """

    what: str
    against: str
    rows: tuple[str, ...]
    ours: str = ""


@dataclass(frozen=True, slots=True)
class Topic:
    """A table.

    Attributes:
        mark: Its place on the page.
        lines: From top to bottom; one that was measured nowhere is left out.
        columns: Headings of the figures, where each machine has a row. Without any, each machine has a column.
    """

    mark: str
    lines: tuple[Line, ...]
    columns: tuple[str, ...] = ()


_ANSWERS = {"bare model": "persona against none", "four items": "persona against 4 items of 64 tokens"}
_BATCHES = {1: "one by one", 8: "batches of 8", 32: "batches of 32"}
_PUBLISHED, _ROOFLINE = "published", "roofline"


def _answers(model: str, names: str) -> tuple[Line, ...]:
    """Name the rows of a persona beside a model, by the pattern of their names."""
    return tuple(
        Line(f"persona, {model}", against, tuple(f"{names.format(name)}, batch {size}" for size in _BATCHES))
        for against, name in _ANSWERS.items()
    )


ANSWERING = Topic(
    "answering",
    (
        *_answers("SmolLM2", "real model: {}: smollm2"),
        Line("adapters of 8 users, SmolLM2", "bare model", ("", "adapters of 8 users against none", "")),
        *_answers("Llama 1,098 M", "gpu/{}: random Llama"),
    ),
    tuple(_BATCHES.values()),
)

OTHER_ANSWERS = Topic(
    "other-answers",
    (*_answers("Llama 503 M", "{}: random Llama"), *_answers("T5 30 M", "{}: random T5")),
    tuple(_BATCHES.values()),
)

_DEFAULT_STEP = "real model: the default's training step against PEFT's LoRA"
_DEFAULT_BESIDE_VECTORS = "real model: the default's training step against PEFT's prompt tuning"
_DEFAULT_IN_FLOAT32 = "real model, float32: the default's training step against PEFT's prompt tuning"
_VECTORS_STEP = "real model: a training step against PEFT's prompt tuning"
_VISITS = (("new", "first visit"), ("kept", "input kept"))
_SECONDS, _EXAMPLES, _QUERIES = "our_seconds", "our_examples_per_second", "our_queries_per_second"

TRAINING = Topic(
    "training",
    (
        *(
            Line(
                f"SmolLM2, the default, inputs {inputs}",
                "PEFT's prompt tuning",
                (f"{_DEFAULT_BESIDE_VECTORS}, {visit}",),
                _SECONDS,
            )
            for inputs, visit in _VISITS
        ),
        *(
            Line(
                f"SmolLM2, the default in float32, inputs {inputs}",
                "PEFT's prompt tuning",
                (f"{_DEFAULT_IN_FLOAT32}, {visit}",),
                _SECONDS,
            )
            for inputs, visit in _VISITS
        ),
        Line("SmolLM2, the default, inputs new", "PEFT's LoRA", (f"{_DEFAULT_STEP}, first visit",), _SECONDS),
        Line("SmolLM2, the default, inputs kept", "PEFT's LoRA", (f"{_DEFAULT_STEP}, input kept",), _SECONDS),
        Line(
            "SmolLM2, vectors alone, inputs new", "PEFT's prompt tuning", (f"{_VECTORS_STEP}, first visit",), _SECONDS
        ),
        Line(
            "SmolLM2, vectors alone, inputs kept", "PEFT's prompt tuning", (f"{_VECTORS_STEP}, input kept",), _SECONDS
        ),
        Line("Llama 1,098 M, steps of 8", _ROOFLINE, ("gpu/a training step, batch 8",), "examples_per_second"),
        Line("Llama 1,098 M, steps of 32", _ROOFLINE, ("gpu/a training step, batch 32",), "examples_per_second"),
    ),
    ("figure",),
)

OTHER_STEPS = Topic(
    "other-steps",
    (
        Line("step", _PUBLISHED, ("a training step",), _EXAMPLES),
        Line("step, `paper`", _PUBLISHED, ("a training step, preset paper",), _EXAMPLES),
        Line("dev answers", _PUBLISHED, ("dev evaluation, every query encoded",), _QUERIES),
        Line("dev answers, `--look-up`", _PUBLISHED, ("dev evaluation",), _QUERIES),
    ),
    ("figure",),
)

INDEXING = Topic(
    "indexing",
    (
        Line("encoding with `minilm`", "sentence-transformers", ("encoding histories",), "our_texts_per_second"),
        Line("indexing a log", _PUBLISHED, ("indexing a log",), "our_seconds"),
    ),
)

_ALONE = "none"

STORE = Topic(
    "store",
    (
        Line("fetching 100 vectors of 200,000", _ALONE, ("fetching one user's vectors, 200,000",)),
        Line("fetching 100 vectors of 10,000,000", _ALONE, ("fetching one user's vectors, 10,000,000",)),
        Line("memory while fetching those", _ALONE, ("resident memory, 10,000,000",)),
        Line("memory, training from 1,000,000 rows", "from 1,000 rows", ("memory while training",), "large_mb"),
        Line("start of `personaplug --help`", _ALONE, ("start-up",)),
    ),
)

_EMBEDDER, _RAGGED = "user embedder, forward and backward", "ragged histories: histories of the"

ARITHMETIC = Topic(
    "arithmetic",
    (
        Line("time, 512 items", _PUBLISHED, (f"{_EMBEDDER}, our default",), "our_seconds"),
        Line("time, 512 items, `paper`", _PUBLISHED, (_EMBEDDER,), "our_seconds"),
        Line("time, real histories of 135, `paper`", _PUBLISHED, (f"{_RAGGED} queries of git-subject",), "our_seconds"),
        Line("time, real histories of 56, `paper`", _PUBLISHED, (f"{_RAGGED} users of git-subject",), "our_seconds"),
        Line("memory, 512 items", _PUBLISHED, ("user embedder, memory, our default",), "our_mb"),
        Line("memory, 512 items, `paper`", _PUBLISHED, ("user embedder, memory",), "our_mb"),
    ),
)

TOPICS = {
    "performance.md": (ANSWERING, TRAINING, INDEXING, STORE, ARITHMETIC),
    "measuring-speed.md": (OTHER_ANSWERS, OTHER_STEPS),
}
"""By their page in docs/, in the page's order."""
