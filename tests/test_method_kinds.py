"""One table says what each method is; names that configurations accept are its rows."""

from typing import get_args

import pytest

from personaplug.errors import ConfigError
from personaplug.method_kinds import (
    METHOD_KINDS,
    METHODS,
    RUNS,
    AdapterItems,
    LearnedRetrieval,
    Prefixed,
    Retrieval,
    kind_in_label,
    kind_of,
)


def names(*learnt):
    return [name for name, kind in METHOD_KINDS.items() if kind.learns in learnt]


def test_a_configuration_accepts_the_methods_of_its_rows_and_no_other():
    assert list(get_args(Prefixed)) == names("prefix")
    assert list(get_args(LearnedRetrieval)) == names("ranker", "selector")
    untrained = [kind.items for kind in METHOD_KINDS.values() if kind.is_retrieval and not kind.learns]
    assert list(get_args(Retrieval)) == untrained
    of_adapters = [kind.items for kind in METHOD_KINDS.values() if kind.is_per_user and kind.items]
    assert list(get_args(AdapterItems)) == of_adapters


def test_a_recipes_names_of_adapters_are_one_method_to_a_command():
    assert {kind_of(name).command for name in names("adapters")} == {"user-lora"}
    assert set(METHOD_KINDS) - set(METHODS) == {"user-lora+bm25", "user-lora+recency", "user-lora+random"}
    assert set(RUNS) <= set(METHODS)


def test_what_reads_vectors_has_a_persona_or_chooses_items_by_them():
    for kind in METHOD_KINDS.values():
        assert kind.reads_vectors == (kind.has_persona or kind.items in ("dense", "ranker", "selector")), kind.name


def test_a_name_that_is_almost_a_methods_is_refused_with_those_there_are():
    with pytest.raises(ConfigError, match="no method 'plug\\+bm26'") as refused:
        kind_of("plug+bm26")
    assert "plug+bm25" in str(refused.value.hint)


@pytest.mark.parametrize(
    ("label", "kind"),
    [("plug", "plug"), ("plug+bm25, k=2", "plug+bm25"), ("user-lora, bm25, k=2", "user-lora"), ("plugged in", "")],
)
def test_a_labels_method_is_its_first_word_where_that_is_one(label, kind):
    assert kind_in_label(label) == kind
