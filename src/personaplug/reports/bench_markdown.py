"""A bench's result as Markdown."""

from collections.abc import Iterable, Sequence

from personaplug.evaluation.bench import BenchResult, CostRow, KChoice, TaskResult
from personaplug.evaluation.metrics import METRICS
from personaplug.reports.formatting import cell_text, cost_text, metric_title, overview_note, plain_score, score_text
from personaplug.reports.markdown import escape, gap_cell, to_markdown
from personaplug.reports.overview import overview

METHOD = (
    "Scores are means over seeds. Brackets are 95% intervals of a bootstrap that draws users and, where a method was "
    "trained with several seeds, seeds too; p is of a paired test that lets users change sides, in all seeds together. "
    "A difference is unclear where its interval holds zero or p is 0.05 or more. Nothing is corrected for the number "
    "of comparisons. A gain that a stranger's history keeps is no personalization. Seconds are of the answers alone, "
    "training is counted by itself; each method is measured in a process of its own, whose memory is what stands here."
)
COSTS = (
    "s / 1,000",
    "peak MB",
    "GPU MB",
    "tokens / query",
    "bytes / user",
    "training seconds",
    "training seconds / user",
)
DEV_NOTE = (
    "The measured split is dev, by which k, the best retrieval and the kept weights were chosen: none of these scores "
    "is of data that was held out."
)


def bench_markdown(result: BenchResult) -> str:
    """Write the whole result."""
    seeds = f"Seeds: {', '.join(map(str, result.seeds))}."
    parts = [f"# {escape(result.name)}", f"{seeds} {METHOD}", *_overview(result.tasks)]
    parts += [_task(task, result) for task in result.tasks]
    return "\n\n".join([*parts, f"## Recipe\n\n```toml\n{result.recipe.strip()}\n```"]) + "\n"


def made_in_words(task: TaskResult) -> str:
    """Say when, where and with what a task was measured."""
    return f"Measured {'; '.join(task.made)}."


def choice_text(choice: KChoice) -> str:
    """Say what was tried and chosen, as in ``bm25: k=1 .310, k=2 .340; chosen k=2``."""
    tried = ", ".join(f"k={each.k} {plain_score(each.score)}" for each in choice.tried)
    return f"{choice.method}: {tried}; chosen k={choice.chosen.k}"


def costs_in_words(row: CostRow) -> list[str]:
    """Write what a contender costs, in the order of :data:`COSTS`."""
    numbers = (row.seconds, row.peak_memory_mb, row.gpu_memory_mb, row.prompt_tokens, row.user_bytes)
    a_user = cost_text(row.training_seconds_a_user, decimals=1)
    return [*map(cost_text, numbers), cost_text(row.training_seconds), a_user]


def _overview(tasks: Sequence[TaskResult]) -> list[str]:
    shown = overview(tasks)
    if shown is None:
        return []
    header = ("", *(f"{escape(task)}, {metric_title(metric)}" for task, metric in shown.columns))
    rows = ([escape(row.label), *map(cell_text, row.cells)] for row in shown.rows)
    return ["## All tasks", escape(overview_note(shown.baseline)), _table(header, rows)]


def _task(task: TaskResult, result: BenchResult) -> str:
    about = f"{task.queries:,} queries of {task.users:,} users, split {task.split}."
    parts = [f"## {escape(task.task)}", about, made_in_words(task), *([DEV_NOTE] if task.split == "dev" else [])]
    parts += [to_markdown(task.comparison).strip(), *_retrieval(task), *_choices(task), *_seeds(task, result.seeds)]
    parts += [_table(("", *COSTS), map(_cost, task.costs))]
    return "\n\n".join([*parts, *_published(task, result.source)])


def _retrieval(task: TaskResult) -> list[str]:
    against = task.against_retrieval
    if against is None:
        return []
    rows = [[escape(row.label), *map(gap_cell, row.gaps)] for row in against.rows if row.label != against.baseline]
    title = f"Differences to {escape(against.baseline)}, the best retrieval on dev."
    return [f"{title}\n\n{_table(('', *map(metric_title, against.metrics)), rows)}"]


def _choices(task: TaskResult) -> list[str]:
    if not task.choices:
        return []
    chosen = "".join(f"\n- {escape(choice_text(choice))}" for choice in task.choices)
    return [f"Items in a prompt, by {METRICS[task.choices[0].metric].title} on dev:\n{chosen}"]


def _seeds(task: TaskResult, seeds: Sequence[int]) -> list[str]:
    if not task.seeds:
        return []
    header = (f"{METRICS[task.comparison.metrics[0]].title}", *(f"seed {seed}" for seed in seeds))
    return [_table(header, ([escape(row.label), *map(plain_score, row.scores)] for row in task.seeds))]


def _cost(row: CostRow) -> list[str]:
    return [escape(row.label), *costs_in_words(row)]


def _published(task: TaskResult, source: str) -> list[str]:
    if not task.published:
        return []
    rows = [
        [
            escape(each.method),
            METRICS[each.metric].title,
            plain_score(each.value),
            score_text(task.measured(each.like, each.metric)),
        ]
        for each in task.published
    ]
    return [f"Published: {escape(source)}", _table(("", "metric", "published", "measured here"), rows)]


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(line)} |" for line in [header, ["---"] * len(header), *rows])
