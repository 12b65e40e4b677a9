"""Queries answered per second on dev, four beams, against the published way: one by one, inputs padded."""

from statistics import median
from typing import Any

from benchmarks.speed.effort import Effort
from benchmarks.speed.row import Row, Target
from benchmarks.speed.turns import in_turn
from benchmarks.speed.world import open_world, paper_plug
from personaplug.plug.backbone import GenerationConfig

BEAMS, LONGEST, AT_ONCE = 4, 48, 32


def measure(effort: Effort) -> list[Row]:
    """Ask both the same queries with the same weights, those of the paper's form, so that they answer alike."""
    with open_world("dev", queries=8 if effort.is_quick else 64, is_quick=effort.is_quick) as world:
        examples = world.examples[: 4 if effort.is_quick else 64]
        plug = paper_plug(world).eval()
        published = world.published(plug, examples).eval()
        config = GenerationConfig(strategy="beam", beams=BEAMS, max_new_tokens=8 if effort.is_quick else LONGEST)
        answers: dict[str, Any] = {}

        def ours() -> None:
            batches = [examples[first : first + AT_ONCE] for first in range(0, len(examples), AT_ONCE)]
            answers["ours"] = [answer for batch in batches for answer in plug.respond(batch, config)]

        def theirs() -> None:
            answers["theirs"] = [
                published.answer(example, question, beams=BEAMS, max_new_tokens=config.max_new_tokens)
                for question, example in enumerate(examples)
            ]

        turns = in_turn(ours, theirs, pairs=effort.pairs)
    alike = sum(mine == other for mine, other in zip(answers["ours"], answers["theirs"], strict=True))
    details = turns.details(per=len(examples)) | {
        "our_queries_per_second": len(examples) / median(turns.ours),
        "their_queries_per_second": len(examples) / median(turns.theirs),
        "equal_answers": alike / len(examples),
    }
    words = f"{len(examples)} queries of {world.log.name}, embedded model, {BEAMS} beams, ours in batches of {AT_ONCE}"
    return [Row("dev evaluation", words, median(turns.ratios), "x", Target("at least", 4.0), details)]
