"""A bench, from a recipe's file to its report."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from personaplug.bench.checks import check
from personaplug.bench.json_files import plain
from personaplug.bench.layout import TaskLayout
from personaplug.bench.lock import alone_in
from personaplug.bench.recipe import Recipe, read_recipe
from personaplug.bench.runner import Tell, count_steps, do_all, is_finished, result_of, write_if_changed
from personaplug.data.rows import OnBad
from personaplug.evaluation.bench import BenchResult
from personaplug.evaluation.published import read_published
from personaplug.reports.bench_markdown import bench_markdown
from personaplug.reports.bench_page import bench_html
from personaplug.workflows.progress import Progress, Silence


@dataclass(frozen=True, slots=True)
class Bench:
    """A recipe that can be run.

    Attributes:
        path: Its file.
        recipe: What that says.
        layouts: Of its tasks.
        out: The folder for all that is made.
    """

    path: Path
    recipe: Recipe
    layouts: list[TaskLayout]
    out: Path

    @classmethod
    def of(
        cls,
        path: Path,
        out: Path,
        *,
        skips_bad: bool = False,
        on_bad: OnBad | None = None,
        screen: Callable[[OnBad], Progress] = Silence,
    ) -> "Bench":
        """Read a recipe, and refuse one that could not be run.

        Args:
            path: The recipe.
            out: The folder for all that is made.
            skips_bad: Whether rows that cannot be read are left out.
            on_bad: Told of each such row.
            screen: Makes what shows how far the check and each step is; a class, as steps go to other processes.

        Raises:
            PersonaPlugError: Something is wrong with it.
        """
        recipe = read_recipe(path)
        layouts = check(recipe, beside=path.parent, out=out, skips_bad=skips_bad, on_bad=on_bad, screen=screen)
        return cls(path, recipe, layouts, out)

    def plan(self) -> list[str]:
        """Say what each task asks for."""
        return [
            f"{layout.task.name}: {count_steps(self.recipe, [layout])} steps, "
            f"{'all done' if is_finished(self.recipe, layout) else 'not all done'}"
            for layout in self.layouts
        ]

    def run(self, *, tell: Tell) -> BenchResult:
        """Do what the recipe asks for and is not done, and write ``report.json``, ``.md`` and ``.html``."""
        recipe = self.recipe
        published = read_published(self.path.parent / recipe.published) if recipe.published else None
        with alone_in(self.out):
            measured = do_all(recipe, self.layouts, tell=tell)
            text = self.path.read_text(encoding="utf-8")
            result = result_of(self.path.stem, text, recipe=recipe, measured=measured, published=published)
            for name, content in (
                ("report.json", json.dumps(plain(result), ensure_ascii=False, indent=1) + "\n"),
                ("report.md", bench_markdown(result)),
                ("report.html", bench_html(result, [each.means for each in measured])),
            ):
                write_if_changed(self.out / name, content)
        return result
