"""Every kind of rival in one bench, on tiny models."""

import json

import pytest

from personaplug.cli.benchmark import run as bench_run
from tests.cli.bench_world import bench, write_recipe
from tests.cli.conftest import done


@pytest.fixture(autouse=True)
def in_this_process(monkeypatch):
    monkeypatch.setattr(bench_run, "apart", lambda work: work())


def test_every_kind_of_rival_and_an_ablation_stand_beside_the_plug(models, tmp_path):
    learned = ["fitting.epochs=1", "ranker.candidates=2"]
    variants = [
        {"method": "plug", "label": "plug, one vector", "settings": ["embedder.personas=1"]},
        {"method": "ropg-kd", "settings": learned},
        {"method": "rspg-pre", "settings": learned},
        {"method": "user-lora", "label": "user-lora, k=1", "settings": ["training.epochs=1", "items.k=1"]},
    ]
    words = {"methods": ["dense", "text-profile"], "variants": variants, "seeds": [3], "k": [1], "dev_queries": 3}
    recipe = write_recipe(tmp_path, models, **words, test_queries=4, draw=5, strangers=False)
    task = json.loads(done(bench(recipe, "--json")).stdout)["tasks"][0]
    labels = ["dense, k=1", "text-profile", "plug, one vector", "ropg-kd, k=1", "rspg-pre, k=1", "user-lora, k=1"]
    assert [row["label"] for row in task["comparison"]["rows"]] == labels
    assert task["queries"] == 4
    costs = {row["label"]: row for row in task["costs"]}
    assert costs["user-lora, k=1"]["user_bytes"] > costs["dense, k=1"]["user_bytes"] > 0
    assert costs["plug, one vector"]["prompt_tokens"] < costs["dense, k=1"]["prompt_tokens"]
    assert "0 of" in done(bench(recipe)).stderr
