import random
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from time import sleep

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from personaplug.data.split import split_examples
from personaplug.errors import FingerprintMismatchError, RepeatedIdError, StoreError
from personaplug.store.indexing import IndexCounts, check_ids, index, texts_to_encode
from personaplug.store.persona_store import PersonaStore
from personaplug.tasks.task import HistoryRules, Task
from tests.factories import make_row
from tests.store.fakes import LAYOUT, encode, encode_jointly, make_log, rows_of, stack

LOG = make_log(users=7, items=9)


class CountingEncoder:
    """The fake encoder, and which texts it was given."""

    def __init__(self):
        self.texts = []

    def __call__(self, texts):
        self.texts += texts
        return encode(texts)


@pytest.fixture
def encoder():
    return CountingEncoder()


@pytest.fixture
def store(address):
    with PersonaStore.open(address, layout=LAYOUT) as opened:
        yield opened


def test_a_log_is_in_the_store_with_its_vectors(store):
    counts = index(LOG, store, encode=encode)
    assert (counts.rows, counts.new_items, store.count()) == (63, 63, 63)
    for user in store.users():
        profile = store.get(user)
        assert profile.items == tuple(row.item for row in LOG if row.user_id == user)
        assert np.array_equal(store.vectors(profile), stack(profile.items).astype(np.float16))


@given(batch=st.integers(1, 200))
@settings(max_examples=8)
def test_each_text_is_encoded_once_in_batches_of_any_size(tmp_path_factory, batch):
    encoder = CountingEncoder()
    with PersonaStore.open(tmp_path_factory.mktemp("store") / "personas.db", layout=LAYOUT) as store:
        counts = index(LOG, store, encode=encoder, batch_texts=batch)
    texts = [text for row in LOG for text in LAYOUT.texts(row.item)]
    assert sorted(encoder.texts) == sorted(set(texts))
    assert counts.encoded_texts == len(set(texts))
    assert counts.reused_texts == len(texts) - len(set(texts))


def test_a_second_run_encodes_nothing_and_changes_nothing(store, encoder):
    index(LOG, store, encode=encode)
    before, version = rows_of(store), store.version
    assert index(LOG, store, encode=encoder) == IndexCounts(rows=63, skipped_existing=63)
    assert encoder.texts == []
    assert (rows_of(store), store.version) == (before, version)


@given(days=st.lists(st.integers(0, 2), min_size=1, max_size=12), told=st.integers(0, 12), batch=st.integers(1, 30))
@settings(max_examples=25)
def test_a_store_gives_the_history_that_the_log_gives_also_after_an_index_that_was_cut_short(days, told, batch):
    """Ids as text stand in another order than the rows: 9, 10, 11, ..."""
    log = [make_row("ada", day, text=f"{number}") for number, day in enumerate(days)]
    log = [replace(row, item=replace(row.item, id=f"{at}")) for at, row in enumerate(log, start=9)]
    asked = make_row("ada", 5, output=None)
    with PersonaStore.in_memory(LAYOUT) as store:
        index(log[:told], store, encode=encode, batch_texts=batch)
        index([*log, asked], store, encode=encode, batch_texts=batch)
        task = Task("mine", "", "generation", ("rouge-1",), history=HistoryRules(max_items=99))
        assert store.get("ada") == split_examples([*log, asked], task, split="test")[0].profile


def test_a_changed_answer_is_encoded_anew_and_nothing_else(store, encoder):
    index(LOG, store, encode=encode)
    changed = replace(LOG[0], item=replace(LOG[0].item, output="another answer"))
    counts = index([changed, *LOG[1:]], store, encode=encoder)
    assert (counts.new_items, counts.skipped_existing) == (1, 62)
    assert encoder.texts == [LAYOUT.texts(changed.item)[1]]
    assert store.get(changed.user_id).items[0] == changed.item


@given(batch=st.integers(1, 200))
@settings(max_examples=8)
def test_a_row_that_repeats_another_is_counted_as_that_and_not_as_held(tmp_path_factory, batch):
    with PersonaStore.open(tmp_path_factory.mktemp("store") / "personas.db", layout=LAYOUT) as store:
        counts = index([*LOG, *LOG[:5]], store, encode=encode, batch_texts=batch)
        assert (counts.new_items, counts.skipped_existing, counts.repeated_rows) == (63, 0, 5)
        again = index([*LOG, *LOG[:5]], store, encode=encode, batch_texts=batch)
        assert (again.new_items, again.skipped_existing, again.repeated_rows) == (0, 63, 5)


@given(batch=st.integers(1, 200))
@settings(max_examples=8)
def test_two_different_rows_of_one_id_are_refused_however_far_apart(tmp_path_factory, batch):
    changed = replace(LOG[0], item=replace(LOG[0].item, output="another answer"))
    with PersonaStore.open(tmp_path_factory.mktemp("store") / "personas.db", layout=LAYOUT) as store:
        with pytest.raises(RepeatedIdError, match="user 'user-0' has two different rows of the id '0'"):
            index([*LOG, changed], store, encode=encode, batch_texts=batch)
        assert all(changed.item not in store.get(user).items for user in store.users())
    with pytest.raises(RepeatedIdError, match="user 'user-0'"):
        check_ids([*LOG, changed])


@given(done=st.integers(0, 63), known=st.integers(0, 63), batch=st.integers(1, 200))
@settings(max_examples=25)
def test_the_encoder_gets_call_by_call_what_was_foreseen(done, known, batch):
    """Also where a part is stored already, and another store is to be taken from."""
    calls, log = [], [*LOG[:20], make_row("eve", 0, output=None), *LOG]
    with PersonaStore.in_memory(LAYOUT) as store, PersonaStore.in_memory(LAYOUT) as other:
        index(log[:done], store, encode=encode, batch_texts=batch)
        index(LOG[known:], other, encode=encode)
        foreseen = list(texts_to_encode(log, store, batch_texts=batch, reuse=[other]))
        index(log, store, encode=lambda texts: calls.append(texts) or encode(texts), batch_texts=batch, reuse=[other])
    assert calls == foreseen


def test_two_different_rows_of_one_id_are_found_while_the_calls_are_foreseen(store):
    changed = replace(LOG[0], item=replace(LOG[0].item, output="another answer"))
    with pytest.raises(RepeatedIdError, match="user 'user-0'"):
        list(texts_to_encode([*LOG, changed], store))
    assert store.count() == 0


def test_equal_ids_of_two_users_and_of_a_question_are_no_repetition(store):
    rows = [make_row("ada", 0), make_row("bob", 0, text="other"), make_row("ada", 0, text="asked", output=None)]
    check_ids(rows)
    assert index(rows, store, encode=encode).repeated_rows == 0


def test_a_question_without_an_answer_is_no_history(store):
    counts = index(
        [make_row("ada", 0, text="asked", output=None), make_row("ada", 1, text="said")], store, encode=encode
    )
    assert (counts.rows, counts.new_items, counts.skipped_questions) == (2, 1, 1)
    assert [item.input for item in store.get("ada").items] == ["said"]


def test_an_empty_text_is_zero_and_never_encoded(store, encoder):
    index([make_row("ada", 0, text="", output="tagged")], store, encode=encoder)
    assert encoder.texts == ["tagged was the answer to "]
    vectors = store.vectors(store.get("ada"))[0]
    assert not vectors[0].any()
    assert vectors[1].any()


def test_an_empty_log_and_a_log_of_questions_need_no_encoder(store):
    assert index([], store, encode=lambda _: pytest.fail("encoded")) == IndexCounts()
    assert (
        index([make_row("ada", 0, output=None)], store, encode=lambda _: pytest.fail("encoded")).skipped_questions == 1
    )


def test_texts_of_another_store_are_not_encoded_again(store, encoder, tmp_path):
    with PersonaStore.open(tmp_path / "one.db", layout=replace(LAYOUT, views=("{input}",))) as one_view:
        index(LOG, one_view, encode=encode)
        counts = index(LOG, store, encode=encoder, reuse=[one_view])
    assert not {row.item.input for row in LOG} & set(encoder.texts)
    assert counts.encoded_texts == len({LAYOUT.texts(row.item)[1] for row in LOG})
    profile = store.get("user-3")
    assert np.array_equal(store.vectors(profile), stack(profile.items).astype(np.float16))


@pytest.mark.parametrize("change", [{"fingerprint": "fake@2"}, {"dim": 9}])
def test_vectors_of_another_encoder_are_not_reused(store, tmp_path, change):
    with (
        PersonaStore.open(tmp_path / "other.db", layout=replace(LAYOUT, **change)) as other,
        pytest.raises(FingerprintMismatchError, match=str(tmp_path / "other.db")) as caught,
    ):
        index(LOG, store, encode=encode, reuse=[other])
    assert "--reuse" in caught.value.hint
    assert store.count() == 0


@pytest.mark.parametrize("bad", [lambda texts: encode(texts)[:-1], lambda texts: encode(texts)[:, :4]])
def test_an_encoder_whose_vectors_do_not_fit_is_refused(store, bad):
    with pytest.raises(StoreError, match="the encoder gave"):
        index(LOG, store, encode=bad)


def test_an_encoder_that_fails_leaves_whole_batches(store):
    calls = iter([encode, encode])
    with pytest.raises(StopIteration):
        index(LOG, store, encode=lambda texts: next(calls)(texts), batch_texts=20)
    assert store.count() == 20


def test_progress_counts_up_to_the_result(store):
    seen = []
    total = index(LOG, store, encode=encode, batch_texts=40, progress=seen.append)
    assert seen[-1] == total
    assert [counts.rows for counts in seen] == [20, 40, 60, 63]


def test_a_batch_is_stored_as_a_whole_or_not_at_all(store, monkeypatch):
    append = PersonaStore.append

    def append_until_the_third_user(self, user, *words):
        assert user != "user-2"
        return append(self, user, *words)

    monkeypatch.setattr(PersonaStore, "append", append_until_the_third_user)
    with pytest.raises(AssertionError):
        index(LOG, store, encode=encode)
    assert (store.count(), list(store.users())) == (0, [])


INDEX = """
import sys
from personaplug.store.indexing import index
from personaplug.store.persona_store import PersonaStore
from tests.store import fakes
from tests.store.fakes import LAYOUT, make_log
encode = getattr(fakes, sys.argv[2])
with PersonaStore.open(sys.argv[1], layout=LAYOUT) as store:
    tell = lambda counts: print(counts.new_items, flush=True)
    index(make_log(users=30, items=20), store, encode=encode, batch_texts=8, progress=tell)
"""


def start_indexing(path, encoder):
    words = [sys.executable, "-c", INDEX, path, encoder.__name__]
    return subprocess.Popen(words, stdout=subprocess.PIPE, text=True)


def rows_of_an_undisturbed_run(path, encoder):
    with PersonaStore.open(path, layout=LAYOUT) as store:
        index(make_log(users=30, items=20), store, encode=encoder, batch_texts=8)
        return rows_of(store)


def test_a_run_killed_again_and_again_ends_as_an_uninterrupted_one_to_the_bit(path, tmp_path):
    moments, stored = random.Random(0), []
    for batches in (1, 30, 60, 90):
        process = start_indexing(path, encode_jointly)
        for _ in range(batches):
            process.stdout.readline()
        sleep(moments.uniform(0, 0.01))
        process.kill()
        process.communicate()
        with PersonaStore.open(path) as store:
            stored.append(store.count())
    assert 0 < stored[0] < 600
    assert stored == sorted(stored)
    output, _ = start_indexing(path, encode_jointly).communicate()
    assert int(output.splitlines()[-1]) == 600 - stored[-1]
    with PersonaStore.open(path) as store:
        assert rows_of(store) == rows_of_an_undisturbed_run(tmp_path / "clean.db", encode_jointly)


def test_two_processes_at_once_store_every_row_once(address, tmp_path):
    processes = [start_indexing(address, encode), start_indexing(address, encode)]
    new = [int(process.communicate()[0].splitlines()[-1]) for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert sum(new) == 600
    with PersonaStore.open(address) as store:
        assert rows_of(store) == rows_of_an_undisturbed_run(tmp_path / "clean.db", encode)
        if isinstance(address, Path):
            assert store._tables.rows("PRAGMA integrity_check") == [("ok",)]
