"""What was measured here, or by others, and every plan stands on: each with its unit and where it comes from."""

from dataclasses import dataclass, field, fields
from math import isfinite
from typing import Any

_SPEED = "benchmarks/results/speed"
_XEON = f"{_SPEED}/intel-r-xeon-r-processor-with-amx.json"
_SCALE = "benchmarks/results/scale.json"
_VLLM = (
    "https://github.com/LambdaLabsML/vllm-benchmark/blob/a4f9f4371a1ccac781293837fce2bce0cc6d25cc/"
    "results/prompt_10/1xH100-80GB-SXM/Meta-Llama-3-8B-Instruct_tp1_len2048.json"
)


def measured(value: float, unit: str, *, what: str, source: str) -> Any:  # noqa: ANN401 (like dataclasses.field)
    """Declare a constant.

    Args:
        value: What was measured.
        unit: Of the value.
        what: What it says, and of which machine.
        source: The file of results, or the page, where it stands.
    """
    return field(default=value, metadata={"unit": unit, "help": what, "source": source})


@dataclass(frozen=True, slots=True)
class Constants:
    """The measured constants; who has measured on machines of their own puts those in their place."""

    texts_per_second: float = measured(
        252.6,
        "texts/s",
        what="minilm encodes, on two cores of a Xeon with AMX; 52.8 on two of an AMD EPYC",
        source=_XEON,
    )
    written_per_second: float = measured(
        5500, "items/s", what="SQLite's one writer stores, each of two texts and vectors", source=_SCALE
    )
    bytes_per_token: float = measured(
        4.5, "bytes", what="of text, for a token of smollm2: 3.7 in commits, 5.2 in abstracts", source=_SCALE
    )
    row_bytes: float = measured(
        80, "bytes", what="of an item in a store of SQLite, beyond its texts and vectors", source=_SCALE
    )
    view_bytes: float = measured(62, "bytes", what="more for each view: its hash and its index", source=_SCALE)
    page_share: float = measured(
        1.15, "x", what="what texts and vectors take in the file's pages, over their own size", source=_SCALE
    )
    fetch_ms: float = measured(
        0.31, "ms", what="of a core: a history of 100 items with its vectors out of SQLite", source="docs/operations.md"
    )
    bm25_ms: float = measured(
        0.045, "ms", what="of a core: BM25, an item of a history; 0.035 of commits, 0.058 of papers", source=_SCALE
    )
    training_teraflops: float = measured(
        210, "TFLOP/s", what="of an H100 in training steps of 32, 0.29 of its roofline; 58 in steps of 8", source=_XEON
    )
    reading_teraflops: float = measured(
        210, "TFLOP/s", what="of an H100 that reads prompts: taken from training, not measured by itself", source=_XEON
    )
    writing_terabytes: float = measured(
        2.12,
        "TB/s",
        what="of an H100 that writes by vLLM: a median of 7.56 ms a token, 16.06 GB of weights",
        source=_VLLM,
    )
    layer_ms: float = measured(
        0.85, "ms", what="a token and layer of an H100 that writes here, not by vLLM: launching kernels", source=_XEON
    )

    def __post_init__(self) -> None:
        for each in fields(self):
            if not isfinite(value := getattr(self, each.name)) or value <= 0:
                raise ValueError(f"{each.name} must be a number above zero, not {value}")
