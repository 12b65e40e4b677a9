"""GGUF files: what is found, what is loaded, what is kept converted, and what is refused in one clear sentence."""

import json
import os
import shutil
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from personaplug.backbone import gguf_copy
from personaplug.backbone.embedding_table import load_writer_of_inputs
from personaplug.backbone.generation_config import GenerationConfig
from personaplug.backbone.gguf import find_gguf, read_head
from personaplug.backbone.loading import BackboneConfig, load_backbone, read_settings
from personaplug.errors import ConfigError
from tests import tiny
from tests.full_disk import full_disk
from tests.gguf_files import CHAT, CONFIGS, DIM, PIECES, random_model, write_gguf

SHORT = GenerationConfig(max_new_tokens=5)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """Keep converted copies in a folder of the test's own."""
    monkeypatch.setenv("PERSONAPLUG_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "gguf"


@pytest.fixture
def file(tmp_path):
    write_gguf(tmp_path / "models" / "tiny.gguf", chat=CHAT)
    return tmp_path / "models" / "tiny.gguf"


def copies(cache):
    return sorted(path for path in cache.iterdir()) if cache.exists() else []


def weights(backbone):
    """Copy the weights, for those of a loaded model lie in its file."""
    return {name: tensor.clone() for name, tensor in backbone.model.state_dict().items()}


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("architecture", CONFIGS)
def test_the_weights_are_those_of_the_file_unpacked(tmp_path, architecture, packed):
    kept = write_gguf(tmp_path / "tiny.gguf", architecture=architecture, packed=packed)
    loaded = weights(load_backbone(BackboneConfig(str(tmp_path / "tiny.gguf"))))
    assert loaded.keys() == kept.keys() | {"lm_head.weight"}
    assert all(torch.equal(loaded[name], tensor) for name, tensor in kept.items())


@pytest.mark.parametrize("architecture", CONFIGS)
def test_the_model_of_a_file_scores_as_the_one_it_was_written_from(tmp_path, architecture):
    ids, path = torch.tensor([[5, 9, 200, 260, 7]]), tmp_path / "tiny.gguf"
    write_gguf(path, architecture=architecture)
    backbone = load_backbone(BackboneConfig(str(path)))
    torch.testing.assert_close(backbone.model(ids).logits, random_model(architecture)(ids).logits)


def test_a_file_takes_a_training_step_and_answers_to_the_chats_end(file):
    backbone = load_backbone(BackboneConfig(str(file)))
    prefix = torch.zeros(1, 2, backbone.dim, requires_grad=True)
    backbone.loss(backbone.embed(["the cat"]).with_prefix(prefix), ["sat"]).backward()
    assert prefix.grad.abs().sum() > 0
    assert backbone._answer_ids(["sat"], max_tokens=9)[0][-1] in backbone._ends
    assert len(backbone.generate(backbone.embed(["the cat"]), SHORT)) == 1


def test_the_tokenizer_reads_the_files_words_merges_and_commands(file):
    backbone = load_backbone(BackboneConfig(str(file)))
    assert backbone.tokenizer("th<s>", add_special_tokens=False).input_ids == [PIECES.index("th"), 1]
    assert 1 not in backbone.reader.ids(["th<s>"])[0]
    assert backbone.use_chat_template
    assert backbone.framed("INPUT") == "<s>INPUT</s>"


@pytest.mark.parametrize("name", ["tiny.gguf", "TINY.GGUF", "sha256-0123"])
def test_a_file_is_found_by_its_name_or_its_first_bytes_and_in_a_folder(file, name):
    renamed = file.rename(file.with_name(name))
    assert find_gguf(str(renamed)) == renamed
    if name.lower().endswith(".gguf"):
        assert find_gguf(str(file.parent)) == renamed


def test_a_file_whose_name_has_another_ending_loads_like_any(file):
    expected = weights(load_backbone(BackboneConfig(str(file))))
    renamed = file.rename(file.with_name("sha256-0123"))
    shutil.rmtree(gguf_copy.converted_folder())
    loaded = weights(load_backbone(BackboneConfig(str(renamed))))
    assert all(torch.equal(loaded[name], tensor) for name, tensor in expected.items())


def test_what_lies_beside_a_file_neither_reads_its_texts_nor_is_run(file, monkeypatch):
    monkeypatch.setattr("builtins.input", lambda *_: "y")
    other = tiny.byte_tokenizer(start=True, end=True)
    other.add_tokens(["cat"])
    other.save_pretrained(file.parent)
    tiny.save_with_own_code(file.parent)
    asks = json.dumps({"auto_map": {"AutoTokenizer": ["own.Own", "own.Own"]}})
    (file.parent / "tokenizer_config.json").write_text(asks)
    backbone = load_backbone(BackboneConfig(str(file)))
    assert "cat" not in backbone.tokenizer.get_vocab()
    assert not (file.parent / "ran").exists()


def test_a_file_of_a_model_without_a_chat_template_wraps_nothing_and_names_itself_where_one_is_asked_for(tmp_path):
    write_gguf(tmp_path / "base.gguf")
    config = BackboneConfig(str(tmp_path / "base.gguf"))
    assert load_backbone(config).use_chat_template is False
    with pytest.raises(ConfigError, match=r"base\.gguf' has no chat template"):
        load_backbone(replace(config, use_chat_template=True))


@pytest.mark.parametrize("name", ["google/flan-t5-base", "gpt2", "models/none"])
def test_a_name_that_is_no_file_stands_for_none(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("gpt2").write_text("a file that happens to have this name")
    assert find_gguf(name) is None


def test_a_folder_of_a_model_in_hugging_faces_format_is_no_gguf_file(file):
    (file.parent / "config.json").write_text("{}")
    (file.parent / "model.safetensors").write_bytes(b"")
    assert find_gguf(str(file.parent)) is None


def test_a_folder_with_a_config_beside_its_only_weights_is_that_of_the_file(file):
    (file.parent / "config.json").write_text("{}")
    assert find_gguf(str(file.parent)) == file


def test_a_folder_with_several_files_asks_which_and_the_hint_names_one(file):
    shutil.copy(file, file.with_name("another.gguf"))
    with pytest.raises(ConfigError, match=r"2 GGUF files: another\.gguf, tiny\.gguf") as caught:
        load_backbone(BackboneConfig(str(file.parent)))
    assert find_gguf(caught.value.hint.removeprefix("name one: "))


def test_settings_are_read_without_a_copy_and_alike_from_one(file, cache):
    before = read_settings(BackboneConfig(str(file)))
    assert not copies(cache)
    load_backbone(BackboneConfig(str(file)))
    after = read_settings(BackboneConfig(str(file)))
    for name in ("hidden_size", "num_hidden_layers", "max_position_embeddings", "is_encoder_decoder", "vocab_size"):
        assert getattr(before, name) == getattr(after, name)


def test_a_second_load_reads_the_copy_and_unpacks_nothing(file, cache, monkeypatch):
    first = weights(load_backbone(BackboneConfig(str(file))))
    assert len(copies(cache)) == 1
    monkeypatch.setitem(sys.modules, "gguf", None)  # an import of it fails
    second = weights(load_backbone(BackboneConfig(str(file))))
    assert all(torch.equal(second[name], tensor) for name, tensor in first.items())


def test_a_copy_is_as_open_as_any_new_file_so_that_a_container_may_read_it(file, cache, tmp_path):
    load_backbone(BackboneConfig(str(file)))
    (tmp_path / "new").touch()
    (copy,) = copies(cache)
    assert {path.stat().st_mode for path in copy.iterdir()} == {(tmp_path / "new").stat().st_mode}
    weights_of = next(copy.glob("*.safetensors"))
    weights_of.chmod(0o600)  # as before copies were opened
    load_backbone(BackboneConfig(str(file)))
    assert weights_of.stat().st_mode == (tmp_path / "new").stat().st_mode


def test_a_copy_that_may_not_be_read_is_none(file, cache, monkeypatch):
    load_backbone(BackboneConfig(str(file)))
    (copy,) = copies(cache)
    assert gguf_copy._is_whole(copy)
    monkeypatch.setattr(os, "access", lambda *_: False)  # tests may run as root, who may read anything
    assert not gguf_copy._is_whole(copy)


def test_a_file_of_other_bytes_has_another_copy(file, cache):
    load_backbone(BackboneConfig(str(file)))
    write_gguf(file, packed=True)
    load_backbone(BackboneConfig(str(file)))
    assert len(copies(cache)) == 2


@pytest.mark.parametrize("part", ["model.safetensors", "config.json", "tokenizer.json", "sizes.json"])
@pytest.mark.parametrize("damage", ["cut", "gone"])
def test_a_damaged_copy_is_made_anew(file, cache, part, damage):
    expected = weights(load_backbone(BackboneConfig(str(file))))
    broken = copies(cache)[0] / part
    broken.unlink() if damage == "gone" else broken.write_bytes(broken.read_bytes()[:10])
    loaded = weights(load_backbone(BackboneConfig(str(file))))
    assert all(torch.equal(loaded[name], tensor) for name, tensor in expected.items())
    assert len(copies(cache)) == 1
    assert broken.stat().st_size > 10


def test_what_a_killed_process_left_in_the_cache_goes(file, cache):
    dead = cache / f".{'0' * 48}.4194304-abcd0123"  # no process has so high a number
    (dead / "copy").mkdir(parents=True)
    load_backbone(BackboneConfig(str(file)))
    assert not dead.exists()


def test_whoever_is_slower_to_convert_takes_the_others_copy(file, cache, monkeypatch):
    write, other = gguf_copy._write, []

    def slow(path, folder):
        write(path, folder)
        if not other:
            other.append(path)
            load_backbone(BackboneConfig(str(file)))  # as another process does meanwhile
            (copies(cache)[-1] / "theirs").touch()

    monkeypatch.setattr(gguf_copy, "_write", slow)
    load_backbone(BackboneConfig(str(file)))
    assert [path.name for path in copies(cache)[0].glob("theirs")] == ["theirs"]
    assert len(copies(cache)) == 1


def no_folder(cache, _):
    cache.parent.mkdir()
    cache.write_text("a file stands where the folder should")


def no_room(_, monkeypatch):
    usage = shutil.disk_usage("/")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1000))


@pytest.mark.parametrize("hinder", [no_folder, no_room])
def test_a_model_loads_where_no_copy_can_be_kept_and_the_log_says_so(file, cache, hinder, monkeypatch, caplog):
    hinder(cache, monkeypatch)
    loaded = load_backbone(BackboneConfig(str(file), dtype="bfloat16"))
    assert loaded.dtype == torch.bfloat16
    assert "no converted copy" in caplog.text
    assert not cache.is_dir() or not copies(cache)


def test_a_disk_that_fills_while_a_copy_is_written_leaves_nothing_behind(file, cache):
    with full_disk(room=20_000):  # the weights take more
        loaded = load_backbone(BackboneConfig(str(file)))
    assert loaded.use_chat_template
    assert not copies(cache)


def test_what_writes_inputs_for_another_server_reads_the_copys_table(file):
    whole, table = (load(BackboneConfig(str(file))) for load in (load_backbone, load_writer_of_inputs))
    assert torch.equal(whole.embed(["the cat"]).embeds, table.embed(["the cat"]).embeds)


def test_what_writes_inputs_for_another_server_says_where_a_copy_could_be_kept(file, cache):
    no_folder(cache, None)
    with pytest.raises(ConfigError, match="no converted copy") as caught:
        load_writer_of_inputs(BackboneConfig(str(file)))
    assert "PERSONAPLUG_CACHE" in caught.value.hint


def test_packed_weights_are_not_packed_again(file):
    with pytest.raises(ConfigError, match="quantized already"):
        load_backbone(BackboneConfig(str(file), quantization="4bit"))


def not_one(path):
    path.write_bytes(b"PK\x03\x04 a zip of something")


def empty(path):
    path.write_bytes(b"")


def cut(path):
    path.write_bytes(path.read_bytes()[:-100])


def unknown(path):
    write_gguf(path, architecture="rwkv6")


def encoder(path):
    write_gguf(path, architecture="bert")


def part(path):
    write_gguf(path, parts=3)


def incomplete(path):
    write_gguf(path, leave_out=["model.layers.1.mlp.up_proj.weight"])


def otherwise_large(path):
    write_gguf(path, random_model("qwen3", head_dim=16), architecture="qwen3")


REFUSED = [
    (not_one, "no GGUF file"), (empty, "no GGUF file"), (cut, "cut short or damaged"), (unknown, "'rwkv6'"),
    (encoder, "an encoder"), (part, "one of 3 parts"), (incomplete, "1 of the llama model's weights are missing"),
    (Path.unlink, "no such file"),
    (otherwise_large, "12 of the qwen3 model's weights have another size"),
]  # fmt: skip


@pytest.mark.parametrize(("spoil", "words"), REFUSED)
@pytest.mark.parametrize("load", [load_backbone, read_settings])
def test_a_file_that_holds_no_whole_model_is_refused_with_a_hint(file, cache, spoil, words, load):
    spoil(file)
    if spoil in (incomplete, otherwise_large) and load is read_settings:
        assert load(BackboneConfig(str(file))).hidden_size == DIM  # it looks at no tensor
        return
    with pytest.raises(ConfigError, match=words) as caught:
        load(BackboneConfig(str(file)))
    assert str(file) in str(caught.value)
    assert caught.value.hint
    assert not copies(cache)


@given(share=st.floats(0, 1, exclude_max=True))
def test_wherever_a_file_ends_too_early_that_is_said(share, tmp_path_factory):
    whole, short = (tmp_path_factory.getbasetemp() / name for name in ("whole.gguf", "short.gguf"))
    if not whole.exists():
        write_gguf(whole)
    content = whole.read_bytes()
    short.write_bytes(content[: int(share * (len(content) - 64))])  # the very last bytes may be padding
    with pytest.raises(ConfigError, match=r"cut short|no GGUF file"):
        read_head(short)


@given(at=st.integers(4, 400), value=st.integers(0, 255))
def test_a_damaged_head_is_refused_or_read_but_never_anything_else(at, value, tmp_path_factory):
    whole, damaged = (tmp_path_factory.getbasetemp() / name for name in ("whole.gguf", "damaged.gguf"))
    if not whole.exists():
        write_gguf(whole)
    content = bytearray(whole.read_bytes())
    content[at] = value
    damaged.write_bytes(content)
    with suppress(ConfigError):
        assert read_head(damaged).weights > 0


def test_a_file_by_a_relative_path_is_found(file, monkeypatch):
    monkeypatch.chdir(file.parent.parent)
    config = BackboneConfig("models/tiny.gguf")
    assert weights(load_backbone(config)).keys() == weights(load_backbone(replace(config, model=str(file)))).keys()
