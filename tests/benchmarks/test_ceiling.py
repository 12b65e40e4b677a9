"""What is fitted to a user begins as nothing, learns that user's answers, and moves nothing else."""

import json

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from benchmarks.ceiling import table
from benchmarks.ceiling.__main__ import main
from benchmarks.ceiling.changes import FORMS
from benchmarks.ceiling.fitting import fit, nats, read
from benchmarks.ceiling.people import people
from benchmarks.ceiling.table import Fitted, lines
from personaplug.plug.model import PersonaPlug
from personaplug.store.persona_store import PersonaStore
from tests.benchmarks.conftest import ITEMS, SPLITS

forms = pytest.mark.parametrize("form", FORMS, ids=[each.name for each in FORMS])


@pytest.fixture(scope="module")
def plug(world):
    with PersonaStore.open(world / "store.db") as store:
        yield PersonaPlug.from_pretrained(world / "adapted", store=store).requires_grad_(requires_grad=False)


@pytest.fixture(scope="module")
def person(world, plug):
    return people(world / "log.jsonl", plug, count=1, items=32)[0]


@forms
def test_a_change_that_has_learned_nothing_changes_nothing(plug, person, form):
    torch.manual_seed(0)
    batches = read(plug, person.learned)
    assert np.allclose(nats(plug, batches, form.begin(plug)), nats(plug, batches), rtol=1e-5)


@forms
def test_a_change_learns_the_users_answers_and_nothing_else_moves(plug, person, form):
    torch.manual_seed(0)
    batches = read(plug, person.learned)
    before = [weight.clone() for weight in (*plug.parameters(), *plug.backbone.model.parameters())]
    change = fit(plug, form.begin(plug), batches, epochs=4, rate=max(form.rates), seed=0)
    assert nats(plug, batches, change).mean() < nats(plug, batches).mean()
    after = (*plug.parameters(), *plug.backbone.model.parameters())
    assert all(torch.equal(was, now) for was, now in zip(before, after, strict=True))


def test_a_user_is_learned_from_what_was_before_the_first_query(person):
    assert len(person.learned) == ITEMS - 1  # before the first there is nothing
    assert max(each.time for each in person.learned) < min(each.time for each in person.asked)
    assert all(item.time < each.time for each in person.learned for item in each.profile.items)


def test_a_users_rate_is_the_best_of_the_other_half():
    fitted = [
        Fitted("form", rate, user=user, numbers=1, own=np.array([own]), stranger=np.array([0.5]))
        for user in range(4)
        for rate, own in ((0.1, [-1.0, -4.0][user % 2]), (0.2, [-3.0, -2.0][user % 2]))
    ]
    (line,) = lines(fitted, seed=0)
    assert line.rates == (0.1, 0.2)
    assert line.gain.value == pytest.approx(np.mean([-1.0, -2.0]))
    assert line.personal.value == pytest.approx(line.gain.value - 0.5)


def test_the_command_writes_a_line_for_each_form_and_a_table_of_them(world):
    out = world / "ceiling.json"
    words = [str(world / "adapted"), str(world / "store.db"), str(world / "log.jsonl"), "--out", str(out)]
    result = CliRunner().invoke(main, [*words, "--epochs", "1"], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    found = json.loads(out.read_text())
    assert found["users"] == SPLITS["dev"]
    assert [line["form"] for line in found["lines"]] == [form.name for form in FORMS]
    assert CliRunner().invoke(table.main, [str(out)]).exit_code == 0
    assert all(f"| {form.name} | " in out.with_suffix(".md").read_text() for form in FORMS)
