"""Queries answered per second on dev, four beams, against the published way: one by one, inputs padded."""

from collections.abc import Callable, Iterator, Sequence
from statistics import fmean, median

from benchmarks.paper_faithful import PublishedPlug
from benchmarks.speed.effort import Effort
from benchmarks.speed.row import Row, Target
from benchmarks.speed.turns import in_turn
from benchmarks.speed.world import forget_queries, open_world, paper_plug
from personaplug.backbone.base import GenerationConfig
from personaplug.evaluation.harness import batches_by_length
from personaplug.plug.model import PersonaPlug
from personaplug.plug.query_source import QuerySource
from personaplug.records import Example

Answering = Callable[[], list[str]]

BEAMS, LONGEST, AT_ONCE = 4, 48, 32


def measure(effort: Effort) -> Iterator[Row]:
    """Ask our default and our form of the paper, which answers as the published plug does: it has the same weights.

    The default looks queries up, as ``evaluate --look-up`` does where the log was indexed, or encodes every one.
    """
    longest = 8 if effort.is_quick else LONGEST
    config = GenerationConfig(strategy="beam", beams=BEAMS, max_new_tokens=longest)
    with open_world("dev", queries=4 if effort.is_quick else 64, is_quick=effort.is_quick) as world:
        examples = world.examples[: 4 if effort.is_quick else 64]
        paper = paper_plug(world).eval()
        theirs = _one_by_one(world.published(paper, examples).eval(), examples, config=config)
        words = f"{len(examples)} queries of {world.log.name}, random T5, {BEAMS} beams, in batches of {AT_ONCE}"
        asked = {
            "dev evaluation": world.plug(query_source=QuerySource.STORE).eval(),
            "dev evaluation, every query encoded": world.plug(query_source=QuerySource.ENCODER).eval(),
            "dev evaluation, preset paper": paper,
        }
        for name, plug in asked.items():
            yield _row(name, words, ours=_in_batches(plug, examples, config=config), theirs=theirs, pairs=effort.pairs)


def _row(name: str, words: str, *, ours: Answering, theirs: Answering, pairs: int) -> Row:
    mine, others = ours(), theirs()
    turns = in_turn(ours, theirs, pairs=pairs)
    details = turns.details(per=len(mine)) | {
        "our_queries_per_second": len(mine) / median(turns.ours),
        "their_queries_per_second": len(mine) / median(turns.theirs),
        "equal_answers": fmean(one == other for one, other in zip(mine, others, strict=True)),
        "our_words": fmean(len(answer.split()) for answer in mine),
        "their_words": fmean(len(answer.split()) for answer in others),
    }
    return Row(name, words, median(turns.ratios), "x", Target("at least", 4.0), details)


def _in_batches(plug: PersonaPlug, examples: Sequence[Example], *, config: GenerationConfig) -> Answering:
    """Answer inputs of similar length together, as our evaluation does; no turn keeps a query's vector."""
    batches = batches_by_length(examples, AT_ONCE)

    def work() -> list[str]:
        forget_queries(plug)
        found: dict[int, str] = {}
        for places in batches:
            found |= zip(places, plug.respond([examples[place] for place in places], config), strict=True)
        return [answer for _, answer in sorted(found.items())]

    return work


def _one_by_one(plug: PublishedPlug, examples: Sequence[Example], *, config: GenerationConfig) -> Answering:
    return lambda: [
        plug.answer(example, question, beams=BEAMS, max_new_tokens=config.max_new_tokens)
        for question, example in enumerate(examples)
    ]
