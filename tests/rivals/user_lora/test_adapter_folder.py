"""Adapters on disk: whole or not there."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from personaplug.errors import ConfigError, DataError
from personaplug.rivals.user_lora.adapter_folder import AdapterFolder, AdapterRecord

RECORD = AdapterRecord("ada/../ben 🦊", items=2, until="2024-01-02T00:00:00+00:00", content="abc", steps=3, seconds=1.5)


@pytest.fixture
def folder(tmp_path):
    return AdapterFolder(tmp_path / "adapters")


def saving(value):
    def save(folder):
        save_file({"w": torch.full((3,), value)}, folder / "adapter_model.safetensors")

    return save


def test_what_is_written_is_read_whatever_the_users_id(folder):
    written = folder.write(RECORD, saving(1.0))
    assert folder.record(RECORD.user_id) == written == replace(RECORD, bytes=written.bytes)
    assert written.bytes == (folder.folder_of(RECORD.user_id) / "adapter_model.safetensors").stat().st_size
    assert folder.weights(RECORD.user_id)["w"].tolist() == [1.0] * 3
    assert written.latest.isoformat() == RECORD.until
    assert folder.folder_of(RECORD.user_id).parent == folder.path


def test_a_user_without_history_has_a_record_and_no_adapter(folder):
    written = folder.write(AdapterRecord("nobody", items=0, until="", content=""))
    assert (written.bytes, written.latest) == (0, None)
    with pytest.raises(ConfigError, match="no adapter"):
        folder.weights("nobody")


def test_a_newer_adapter_takes_the_place_of_the_older(folder):
    folder.write(RECORD, saving(1.0))
    folder.write(replace(RECORD, content="new"), saving(2.0))
    assert folder.record(RECORD.user_id).content == "new"
    assert folder.weights(RECORD.user_id)["w"].tolist() == [2.0] * 3
    assert len(list(folder.path.iterdir())) == 1


@pytest.mark.parametrize("dies_at", ["save", "record", "rename"])
@pytest.mark.parametrize("has_older", [True, False])
def test_a_process_that_dies_while_writing_leaves_no_half_adapter(folder, dies_at, has_older, monkeypatch):
    if has_older:
        folder.write(RECORD, saving(1.0))

    def die(*_, **__):
        raise KeyboardInterrupt

    save = die if dies_at == "save" else saving(2.0)
    with monkeypatch.context() as patch:
        if dies_at != "save":
            patch.setattr(Path, {"record": "write_text", "rename": "rename"}[dies_at], die)
        with pytest.raises(KeyboardInterrupt):
            folder.write(replace(RECORD, content="new"), save)
    found = folder.record(RECORD.user_id)
    assert found is None or (found.content == "abc" and folder.weights(RECORD.user_id)["w"].tolist() == [1.0] * 3)
    if dies_at != "rename":
        assert (found is not None) == has_older
    folder.discard_unfinished()
    assert len(list(folder.path.iterdir())) == (found is not None)
    folder.write(RECORD, saving(3.0))
    assert folder.weights(RECORD.user_id)["w"].tolist() == [3.0] * 3


@pytest.mark.parametrize(
    "content", ["{", "[]", '{"user_id": 1}', '{"other": 1}', "[" * 200_000], ids=lambda content: content[:9]
)
def test_a_record_that_is_none_is_named(folder, content):
    folder.write(RECORD, saving(1.0))
    (folder.folder_of(RECORD.user_id) / "record.json").write_text(content)
    with pytest.raises(DataError, match="not an adapter's record") as caught:
        folder.record(RECORD.user_id)
    assert str(folder.folder_of(RECORD.user_id)) in str(caught.value)


def test_a_broken_adapter_is_named(folder):
    folder.write(RECORD, saving(1.0))
    (folder.folder_of(RECORD.user_id) / "adapter_model.safetensors").write_bytes(b"x" * 20)
    with pytest.raises(ConfigError, match="no adapter") as caught:
        folder.weights(RECORD.user_id)
    assert "--resume" in caught.value.hint


def test_nothing_is_pickled(folder):
    folder.write(RECORD, saving(1.0))
    names = {path.name for path in folder.folder_of(RECORD.user_id).iterdir()}
    assert names == {"adapter_model.safetensors", "record.json"}
    assert json.loads((folder.folder_of(RECORD.user_id) / "record.json").read_text())["user_id"] == RECORD.user_id


def test_an_adapter_that_cannot_be_written_leaves_the_old_one_and_nothing_half_done(folder):
    folder.write(RECORD, saving(1.0))

    def failing(unfinished):
        saving(2.0)(unfinished)
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        folder.write(RECORD, failing)
    assert folder.weights(RECORD.user_id)["w"].tolist() == [1.0] * 3
    assert list(folder.path.iterdir()) == [folder.folder_of(RECORD.user_id)]
