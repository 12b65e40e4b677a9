"""The Grafana board of ``deploy/`` asks for what the server exports, and for nothing else."""

import json
import re
import shutil
import subprocess
from collections import defaultdict
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

(BOARD,) = (Path(__file__).parents[2] / "deploy" / "grafana" / "dashboards").glob("*.json")
ADDED = {"instance", "job", "le"}
"""Labels that Prometheus gives to what it scrapes, and that of a histogram's buckets."""


def queries():
    panels = json.loads(BOARD.read_text(encoding="utf-8"))["panels"]
    return [target["expr"] for panel in panels for target in panel["targets"]]


def exported(client, http, server):
    """Give the labels of each metric of a server that has answered, by the metric's name."""
    client.completions.create(model="llama", prompt="about x", user="ada", max_tokens=2)
    text = http.get("/metrics", headers=server.headers()).text
    labels = defaultdict(set)
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels[sample.name] |= set(sample.labels)
    return labels


def test_every_metric_and_label_of_the_board_is_exported(client, http, server):
    served = exported(client, http, server)
    for query in queries():
        names = set(re.findall(r"personaplug_\w+", query))
        assert names <= set(served), query
        asked = set(re.findall(r"(\w+)=~?\"", query))
        asked |= {label.strip() for by in re.findall(r"by \(([^)]*)\)", query) for label in by.split(",")}
        assert asked <= ADDED.union(*(served[name] for name in names)), query


def test_every_metric_that_the_server_exports_is_on_the_board(client, http, server):
    shown = {re.sub(r"_(bucket|sum|count)$", "", name) for name in re.findall(r"personaplug_\w+", str(queries()))}
    served = {re.sub(r"_(bucket|sum|count|created)$", "", name) for name in exported(client, http, server)}
    counters = {name.removesuffix("_total") for name in served}
    assert {name for name in served if name not in counters or f"{name}_total" not in served} == shown


def test_prometheus_can_read_every_query_of_the_board(tmp_path):
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("there is no promtool on this machine: apt install prometheus")
    rules = [
        {"record": f"query:{at}", "expr": query.replace("$__rate_interval", "5m")} for at, query in enumerate(queries())
    ]
    file = tmp_path / "rules.json"  # JSON is YAML
    file.write_text(json.dumps({"groups": [{"name": "board", "rules": rules}]}))
    checked = subprocess.run([promtool, "check", "rules", file], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr
