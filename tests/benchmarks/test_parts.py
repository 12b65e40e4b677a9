"""What each part of a plug carries is measured with that part alone."""

import json
from dataclasses import replace

import numpy as np
from click.testing import CliRunner

from benchmarks.parts import BOTH, NOTHING, VECTORS, WORDS, main, nats
from personaplug.data.log import read_log
from personaplug.data.split import split_examples
from personaplug.plug.model import PersonaPlug
from personaplug.records import Profile
from personaplug.store.persona_store import PersonaStore
from tests.benchmarks.conftest import SPLITS


def test_a_part_is_what_is_left_when_the_others_are_away(world):
    with PersonaStore.open(world / "store.db") as store:
        plug = PersonaPlug.from_pretrained(world / "copying", store=store)
        dev = list(split_examples(read_log(world / "log.jsonl", plug.task), plug.task, split="dev"))
        found = nats(plug, dev)
        assert len({row.tobytes() for row in found.values()}) == len(found)
        assert np.allclose(found[BOTH], -plug.score(dev).log_likelihood.numpy())
        nobody = [replace(each, profile=Profile("nobody")) for each in dev]
        assert np.allclose(found[NOTHING], -plug.score(nobody).log_likelihood.numpy())
        plug.copy_head = None
        assert np.allclose(found[VECTORS], -plug.score(dev).log_likelihood.numpy())


def test_the_command_writes_each_part_with_the_own_history_and_a_strangers(world):
    out = world / "parts.json"
    words = [str(world / "copying"), str(world / "store.db"), str(world / "log.jsonl"), "--out", str(out)]
    result = CliRunner().invoke(main, words, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    found = json.loads(out.read_text())
    assert (found["queries"], list(found["parts"])) == (SPLITS["dev"], [NOTHING, VECTORS, WORDS, BOTH])
    assert found["parts"][NOTHING]["own minus stranger's"]["value"] == 0
    assert all(row["own minus stranger's"]["value"] != 0 for row in list(found["parts"].values())[1:])
