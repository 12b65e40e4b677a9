"""What ``docs/operations.md`` says of the metrics."""

import re
from pathlib import Path

from personaplug.serving.engine.metrics import Metrics

PAGE = (Path(__file__).parents[2] / "docs" / "operations.md").read_text(encoding="utf-8")


def test_the_page_has_every_metric_by_its_name_on_the_wire_and_no_other():
    families = {(each.name, each.type) for each in Metrics().registry.collect()}
    served = {f"{name}_total" if kind == "counter" else name for name, kind in families}
    assert set(re.findall(r"^\| `(personaplug_\w+)` \|", PAGE, re.MULTILINE)) == served
