"""A job on Ray whose process dies. Nothing here imports Ray, which reads its environment as it is imported."""

import os
from contextlib import contextmanager

from personaplug.workflows.index import index
from personaplug.workflows.progress import SILENT
from tests.processes import die


class At:
    """A progress that does something once so many rows are stored."""

    bad_row, note = SILENT.bad_row, SILENT.note

    def __init__(self, rows, act):
        self.rows, self.act, self.result = rows, act, None

    @contextmanager
    def bar(self, what, **_):
        yield self._look if what == "index" else lambda *_, **__: None

    def _look(self, rows, *_, **__):
        if rows == self.rows:
            self.result = self.act()


def job_that_dies(log, encoder, address, cluster, environment):
    """Index until two calls of 512 rows are stored, as a process that joins a cluster by its environment."""
    os.environ.update(environment)
    index(log, "log", store_path=address, encoder=encoder, ray=cluster, progress=At(2 * 512, die))
