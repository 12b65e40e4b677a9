"""The real language model: it loads, takes a step and answers. ``make`` installs it."""

import pytest
import torch

from personaplug.plug.gguf_copy import copy_of, read_gguf
from personaplug.plug.loading import BackboneConfig, load_backbone
from personaplug.plug.prefix import TunedPrefix

ASKED = ["What is the capital of France? Answer in one word.", "What is the capital of Italy? Answer in one word."]
ANSWERS = ["Paris", "Rome"]


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """Keep the converted copy for all workers of a run of the tests, and for nobody after them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PERSONAPLUG_CACHE", str(tmp_path_factory.getbasetemp().parent / "smollm2"))
        yield


@pytest.fixture(scope="module")
def backbone(smollm2, cache):  # noqa: ARG001 (it must be set first)
    return load_backbone(BackboneConfig(model="smollm2"))


def test_it_answers_in_its_chat_template_and_ends(backbone):
    assert backbone.use_chat_template
    answers = backbone.generate(backbone.embed(ASKED))
    assert [right in answer for right, answer in zip(ANSWERS, answers, strict=True)] == [True, True], answers
    assert all(len(answer) < 40 for answer in answers)


def test_a_step_on_vectors_before_the_input_lowers_the_loss_and_moves_no_weight(backbone):
    prefix = TunedPrefix(3, backbone.dim, embedding_norm=backbone.embedding_norm)
    optimizer = torch.optim.AdamW(prefix.parameters(), lr=1e-2)
    before = backbone.model.get_input_embeddings().weight.clone()

    def loss():
        return backbone.loss(
            backbone.embed(ASKED).with_prefix(prefix.prompt(2)), ["paris, of course", "rome, of course"]
        )

    first = loss()
    first.backward()
    optimizer.step()
    assert loss().item() < first.item()
    assert torch.equal(before, backbone.model.get_input_embeddings().weight)


def test_the_converted_copy_is_the_file_to_the_bit(backbone, smollm2):
    assert copy_of(smollm2) is not None
    model, tokenizer = read_gguf(smollm2, dtype=torch.float32, device="cpu")
    copied = backbone.model.state_dict()
    assert all(torch.equal(weight, copied[name]) for name, weight in model.state_dict().items())
    assert tokenizer.get_vocab() == backbone.tokenizer.get_vocab()
