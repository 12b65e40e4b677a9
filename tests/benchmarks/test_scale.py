"""The crowd's figures: who is found in memory, against a count that knows no memory, and how they grow."""

import json

import numpy as np
import pytest

from benchmarks.scale import __main__ as scale
from benchmarks.scale import pictures
from benchmarks.scale.crowd import answer, watch
from benchmarks.scale.filling import Crowd, fill, fill_by_time
from benchmarks.scale.law import FURTHER, growth, hits
from benchmarks.scale.zipf import ZipfUsers, exponent
from personaplug.store.persona_store import PersonaStore

CROWD = Crowd(users=60, items=3, views=1, dim=4)


@pytest.fixture(params=[fill, fill_by_time])
def store(request, tmp_path):
    with PersonaStore.open(tmp_path / "store.db", layout=CROWD.layout) as store:
        request.param(store, CROWD)
        yield store


def found(asked, *, room, start=0):
    """Count requests whose user is among the last ``room`` different ones before it: by looking back each time."""
    hits = 0
    for at in range(start, len(asked)):
        before = list(dict.fromkeys(reversed(asked[:at])))[:room]
        hits += asked[at] in before
    return hits / (len(asked) - start)


def test_a_store_holds_the_crowd_in_whatever_order_it_came(store):
    assert store.count() == CROWD.users * CROWD.items
    for user in (0, 31, 59):
        assert store.get(CROWD.name(user)).items == tuple(CROWD.item(user, at) for at in range(CROWD.items))


@pytest.mark.parametrize("room", [1, 7, 30, 60])
@pytest.mark.parametrize("skew", [0.0, 0.8])
def test_the_servers_memory_over_a_store_finds_whom_a_count_finds(store, room, skew):
    asked = ZipfUsers(CROWD.users, skew).requests(600).tolist()
    seen = answer(store, CROWD, asked, room=room)
    assert seen.rate == found(asked, room=room, start=400)
    assert seen.kept == min(room, len(set(asked)))


@pytest.mark.parametrize("between", [1, 7, 50])
def test_a_change_of_the_store_empties_the_servers_memory(store, between):
    asked = ZipfUsers(CROWD.users).requests(300).tolist()
    stretches = [asked[at : at + between] for at in range(0, len(asked), between)]
    expected = sum(found(stretch, room=CROWD.users) * len(stretch) for stretch in stretches) / len(asked)
    assert answer(store, CROWD, asked, between=between).rate == pytest.approx(expected)


def test_users_of_a_rank_ask_as_often_as_zipfs_law_has_it():
    drawn = ZipfUsers(50, 0.8).requests(200_000)
    counts = np.sort(np.bincount(drawn, minlength=50))[::-1]
    weights = np.arange(1, 51) ** -0.8
    assert counts / 200_000 == pytest.approx(weights / weights.sum(), abs=0.003)


@pytest.mark.parametrize("law", [0.3, 0.9])
def test_the_exponent_of_a_log_is_that_of_the_law_that_drew_it(law):
    counts = (1e6 * np.arange(1, 2_001) ** -law).astype(int).tolist()
    assert exponent(counts) == pytest.approx(law, abs=0.01)


def crowd_rows(**figures):
    """Results of four crowds."""
    return {
        f"crowd of {users}": {"details": {"users": users, **{name: value(users) for name, value in figures.items()}}}
        for users in (100, 1_000, 10_000, 100_000)
    }


def test_a_figure_that_grows_as_its_law_says_is_off_by_nothing_and_is_drawn_on():
    grown = growth(crowd_rows(bytes_a_user=lambda _: 950.0), "file_mb")
    assert grown.off_by == pytest.approx(0)
    assert grown.expected == {10_000: pytest.approx(9.5), 100_000: pytest.approx(95), FURTHER: pytest.approx(9_500)}
    slower = growth(crowd_rows(cpu_p50_ms=lambda users: 0.1 * np.log10(users)), "cpu_p50_ms")
    assert slower.off_by == pytest.approx(0)
    assert slower.expected[FURTHER] == pytest.approx(0.7)


def test_a_largest_crowd_that_leaves_the_law_is_seen():
    rows = crowd_rows(cpu_p50_ms=lambda users: 1.0 if users < 100_000 else 1.5)
    assert growth(rows, "cpu_p50_ms").off_by == pytest.approx(0.5)
    assert hits(crowd_rows(**{"hits, kept 10%": lambda _: 0.0}), kept=0.1).off_by == pytest.approx(-1)


def test_the_picture_is_drawn_from_the_results_that_are_kept(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(pictures, "PICTURE", tmp_path / "crowd.svg")
    pictures.main()
    assert "<svg" in (tmp_path / "crowd.svg").read_text()
    assert f"at {FURTHER:,}" in capsys.readouterr().out


def test_all_parts_run_on_toys_and_say_how_they_were_made(tmp_path, monkeypatch):
    path = tmp_path / "scale.json"
    monkeypatch.setattr(
        "sys.argv", ["scale", "crowd", "bytes-of-items", "writing", "--users", "40", "--quick", "--out", str(path)]
    )
    scale.main()
    rows = json.loads(path.read_text("utf-8"))
    assert 0 < rows["crowd of 40"]["details"]["hits, kept 10%"] < 1
    assert rows["crowd of 40"]["made"]["command"].startswith("python -m benchmarks.scale crowd")
    assert rows["storing an index"]["value"] > 0
    assert len(rows) == 1 + 4 + 1


def test_what_a_process_sees_has_every_figure(store):
    store.close()
    seen = watch(store.path, CROWD, 60)
    assert 0 < seen.p50_ms <= seen.p99_ms
    assert 0 < seen.cold_p50_ms <= seen.cold_p99_ms
    assert {*seen.hits} == {"kept 1%", "kept 10%", "changed 10", "changed 100", "changed 1000"}
