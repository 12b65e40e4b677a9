"""Every kind of rival in one bench, on tiny models."""

import json

import pytest

from personaplug.bench import runner
from tests.bench.bench_world import bench, write_recipe
from tests.cli.conftest import done


@pytest.fixture(autouse=True)
def in_this_process(monkeypatch):
    monkeypatch.setattr(runner, "run_isolated", lambda work: work())


def test_every_kind_of_rival_and_an_ablation_stand_beside_the_plug(models, tmp_path):
    few = ["embedder.instructions=1", "embedder.output_tokens=1", "embedder.with_mean=false"]
    learned = ["fitting.epochs=1", "ranker.candidates=2"]
    variants = [
        {"method": "plug+bm25", "label": "mixed, few vectors", "settings": few},
        {"method": "ropg-kd", "settings": learned},
        {"method": "rspg-pre", "settings": learned},
        {"method": "user-lora+bm25", "settings": ["training.epochs=1"]},
        {"method": "plain", "label": "bare"},
    ]
    words = {"methods": ["dense", "text-profile"], "variants": variants, "seeds": [3], "k": [1], "dev_queries": 3}
    recipe = write_recipe(tmp_path, models, **words, test_queries=4, draw=5)
    task = json.loads(done(bench(recipe, "--json")).stdout)["tasks"][0]
    rivals = ["ropg-kd, k=1", "rspg-pre, k=1", "user-lora+bm25, k=1"]
    labels = ["dense, k=1", "text-profile", "mixed, few vectors, k=1", *rivals, "bare"]
    found = [row["label"] for row in task["comparison"]["rows"]]
    both = [(label, f"{label}, stranger's history") for label in labels[:-1]]
    assert found == [*(label for pair in both for label in pair), "bare"]
    assert task["comparison"]["baseline"] == "bare"  # the control by its method, whatever its label
    assert task["queries"] == 4
    costs = {row["label"]: row for row in task["costs"]}
    assert costs["user-lora+bm25, k=1"]["user_bytes"] > costs["dense, k=1"]["user_bytes"] > 0
    vectors = costs["mixed, few vectors, k=1"]["prompt_tokens"] - costs["dense, k=1"]["prompt_tokens"]
    assert vectors == pytest.approx(3)  # a first token, the rest, and an instruction, before as long an item
    assert [label for label in labels if costs[label]["training_seconds"] is None] == ["dense, k=1", "bare"]
    assert [label for label in labels if costs[label]["training_seconds_a_user"]] == ["text-profile", rivals[-1]]
    assert task["against_retrieval"]["baseline"] in ("dense, k=1", *rivals[:2])
    starts = sorted((tmp_path / "out" / "log" / "user-lora+bm25").rglob("start.safetensors"))
    assert len({start.read_bytes() for start in starts}) == 1 < len(starts) == 3  # dev, test, strangers: adapted once
    assert "0 of" in done(bench(recipe)).stderr
    (trained,) = (tmp_path / "out").rglob("ropg-kd/**/run-trained.json")
    trained.unlink()  # as where it was killed right after the weights
    said = trained.with_name("run") / "said"
    said.mkdir()
    assert "1 of" in done(bench(recipe)).stderr
    assert not said.exists()
