import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from personaplug.embedder.checkpoint import load_weights, save_weights
from personaplug.embedder.embedder_config import PAPER, EmbedderConfig
from personaplug.embedder.user_embedder import UserEmbedder
from personaplug.errors import ConfigError
from tests.embedder.histories import DIM, LLM_DIM, VIEWS, as_if_trained
from tests.full_disk import full_disk


def embedder(config=EmbedderConfig(), *, llm_dim=LLM_DIM):  # noqa: B008 (frozen)
    return UserEmbedder(config, views=VIEWS, dim=DIM, llm_dim=llm_dim, embedding_norm=3.0)


@pytest.mark.parametrize("config", [EmbedderConfig(), PAPER], ids=["default", "paper"])
def test_save_then_load_changes_no_bit(config, tmp_path):
    saved, loaded = as_if_trained(embedder(config), seed=1), as_if_trained(embedder(config), seed=2)
    save_weights(saved, tmp_path / "model.safetensors")
    load_weights(loaded, tmp_path / "model.safetensors")
    assert saved.state_dict().keys() == loaded.state_dict().keys()
    assert all(torch.equal(tensor, loaded.state_dict()[name]) for name, tensor in saved.state_dict().items())
    assert [path.name for path in tmp_path.iterdir()] == ["model.safetensors"]


OTHERS = {
    "the paper's": embedder(PAPER),
    "another size": embedder(llm_dim=8),
    "more personas": embedder(EmbedderConfig(personas=5)),
    "more layers": embedder(EmbedderConfig(instruction_form="mlp")),
    "fewer layers": embedder(EmbedderConfig(query_encoder="trained")),
}


@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS)
def test_weights_of_another_configuration_are_refused_with_a_hint(other, tmp_path):
    save_weights(embedder(), tmp_path / "model.safetensors")
    with pytest.raises(ConfigError, match="does not fit") as caught:
        load_weights(other, tmp_path / "model.safetensors")
    assert caught.value.hint


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"nothing\.safetensors"):
        load_weights(nn.Linear(1, 1), tmp_path / "nothing.safetensors")


@pytest.mark.parametrize("content", [b"", b"not tensors", b"\x80\x04pickle"])
def test_a_file_that_is_not_safetensors_is_named(content, tmp_path):
    (tmp_path / "model.safetensors").write_bytes(content)
    with pytest.raises(ConfigError, match="not a safetensors file"):
        load_weights(nn.Linear(1, 1), tmp_path / "model.safetensors")


def test_a_full_disk_is_an_error_of_the_system_and_leaves_the_old_weights(tmp_path):
    path = tmp_path / "model.safetensors"
    save_weights(nn.Linear(2, 2), path)
    old = path.read_bytes()
    with full_disk(), pytest.raises(OSError, match=r"model\.safetensors"):
        save_weights(nn.Linear(2, 2), path)
    assert path.read_bytes() == old
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_weights_that_are_no_numbers_are_neither_written_nor_read(number, tmp_path):
    layer = nn.Linear(2, 2)
    with torch.no_grad():
        layer.bias[1] = number
    with pytest.raises(ConfigError, match=r"model.safetensors: the weights 'bias' hold NaN or infinite") as caught:
        save_weights(layer, tmp_path / "model.safetensors")
    assert caught.value.hint
    assert not list(tmp_path.iterdir())
    save_file(layer.state_dict(), tmp_path / "model.safetensors")
    with pytest.raises(ConfigError, match="the weights 'bias' hold NaN or infinite"):
        load_weights(nn.Linear(2, 2), tmp_path / "model.safetensors")
