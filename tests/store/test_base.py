import pytest

from personaplug.errors import FingerprintMismatchError
from personaplug.store.base import StoreLayout, text_hash
from personaplug.tasks.task import load_task
from tests.factories import make_item

LAYOUT = StoreLayout("encoder@1", ("{input}", "{input}: {output}"), dim=4)


def test_a_layout_writes_one_text_a_view():
    assert LAYOUT.texts(make_item(0, "a {output} b", "{input}")) == ("a {output} b", "a {output} b: {input}")


def test_a_layout_writes_an_item_as_its_task_does():
    task, item = load_task("acl-venue"), make_item(0, "an abstract", "acl")
    assert StoreLayout("encoder@1", task.views, dim=4).texts(item) == task.view_texts(item)


@pytest.mark.parametrize(("views", "dim"), [((), 4), (("{input}",), 0)])
def test_a_layout_without_views_or_dimension_is_impossible(views, dim):
    with pytest.raises(ValueError, match="views and a dimension"):
        StoreLayout("encoder@1", views, dim)


@pytest.mark.parametrize(
    ("other", "differs"),
    [
        (StoreLayout("encoder@2", LAYOUT.views, 4), "fingerprint 'encoder@2', not 'encoder@1'"),
        (StoreLayout("encoder@1", ("{input}",), 4), "views"),
        (StoreLayout("encoder@1", LAYOUT.views, 5), "dim 5, not 4"),
    ],
)
def test_another_layout_is_refused_by_what_differs_with_a_way_out(other, differs):
    with pytest.raises(FingerprintMismatchError, match=differs) as caught:
        LAYOUT.check(other, where="personas.db")
    assert str(caught.value).startswith("personas.db: ")
    assert "--encoder" in caught.value.hint


def test_text_hashes_are_those_of_blake2():
    # printf 'ada' | b2sum -l 128
    assert text_hash("ada").hex() == "c6ef43c47f8c23627ee5b9f8f5cb406c"
