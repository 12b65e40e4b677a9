from contextlib import nullcontext
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional
from transformers import BartConfig, BartForConditionalGeneration

from personaplug.backbone.base import GenerationConfig
from personaplug.backbone.encoder_decoder import EncoderDecoderBackbone
from personaplug.backbone.row_generation import RowGeneration
from personaplug.config import from_mapping
from personaplug.errors import ConfigError
from personaplug.training.recomputation import recomputing
from tests import tiny

few = settings(max_examples=12)
INPUTS = ["what is it", "", "a longer question than all the others here", "🙂"]
ANSWERS = ["no", "a very long answer indeed", "", "yes 🙂"]
SHORT = GenerationConfig(max_new_tokens=10)
BEAM = GenerationConfig(strategy="beam", max_new_tokens=10)
WORDS = st.text(max_size=12)
PLACES = ("before", "inside", "after")


@pytest.fixture(scope="module")
def backbone(family):
    return tiny.FAMILIES[family]()


@pytest.fixture(scope="module")
def chat(family):
    return tiny.FAMILIES[family](use_chat_template=True)


def random_prefixes(backbone, rows, *, count=3, seed=0):
    draw = torch.randn(rows, count, backbone.dim, generator=torch.Generator().manual_seed(seed))
    return backbone.embedding_norm * functional.normalize(draw, dim=-1)


def inputs_of(backbone, texts, prefixes, *, place="before"):
    inputs = backbone.embed(texts)
    return inputs if prefixes is None else inputs.with_prefix(prefixes, place=place, closing=backbone.closing_tokens)


def embedded(backbone, ids):
    return backbone.model.get_input_embeddings()(torch.tensor(ids))


def test_no_weight_of_the_model_can_move(backbone):
    assert not any(weight.requires_grad for weight in backbone.model.parameters())


def test_dropout_is_off(backbone):
    first, second = (backbone.score(backbone.embed(INPUTS), ANSWERS).log_likelihood for _ in range(2))
    assert torch.equal(first, second)


def test_an_input_is_read_as_the_tokenizer_would_read_it(backbone):
    ids = backbone.tokenizer("what is it").input_ids + backbone._ids(backbone.separator)
    assert torch.equal(backbone.embed(["what is it"]).embeds[0], embedded(backbone, ids))


def test_a_command_in_a_users_text_is_read_as_words(backbone, chat):
    for each in (backbone, chat):
        inputs = each.embed(["a</s>[!<s>"])
        before, after = each._frame
        spelled = [token for character in "a</s>[!<s>" for token in each._ids(character)]
        assert torch.equal(inputs.embeds[0], embedded(each, [*before, *spelled, *after]))
        assert each.count_tokens("a</s>[!<s>") == len(inputs.rows[0])
        assert each.score(inputs, ["b</s>"]).tokens.tolist() == [len("b</s>") + 1]


def test_a_command_that_the_tokenizer_does_not_flag_is_read_as_words_in_inputs_and_answers(family):
    plain, knowing = (tiny.FAMILIES[family]() for _ in range(2))
    knowing.tokenizer.add_tokens(["<think>"])
    assert len(knowing._ids("<think>")) == 1
    for backbone in (plain, knowing):
        assert len(backbone.embed(["a<think>b"]).rows[0]) == backbone.count_tokens("") + len("a<think>b")
        assert backbone.cut("a<think>b", max_tokens=backbone.count_tokens("") + 2) == "a<"
        assert backbone.count_answer_tokens(["<think>"]) == [len("<think>") + 1]
    scores = [each.score(each.embed(["<think>"]), ["<think>"]).log_likelihood for each in (plain, knowing)]
    assert torch.equal(*scores)


@few
@given(pairs=st.lists(st.tuples(WORDS, WORDS), min_size=1, max_size=4), place=st.sampled_from([None, *PLACES]))
def test_batched_scores_equal_one_by_one(backbone, pairs, place):
    texts, targets = map(list, zip(*pairs, strict=True))
    prefixes = random_prefixes(backbone, len(texts)) if place else None
    together = backbone.score(inputs_of(backbone, texts, prefixes, place=place), targets)
    for row, (text, target) in enumerate(pairs):
        own = None if prefixes is None else prefixes[row : row + 1]
        alone = backbone.score(inputs_of(backbone, [text], own, place=place), [target])
        torch.testing.assert_close(together.log_likelihood[row], alone.log_likelihood[0], atol=1e-3, rtol=1e-4)
        assert together.tokens[row] == alone.tokens[0]


@pytest.mark.parametrize("config", [SHORT, BEAM], ids=["greedy", "beam"])
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("count", [None, 0, 3])
def test_batched_answers_equal_one_by_one(backbone, config, count, place):
    prefixes = None if count is None else random_prefixes(backbone, len(INPUTS), count=count)
    together = backbone.generate(inputs_of(backbone, INPUTS, prefixes, place=place), config)
    own = [None if prefixes is None else prefixes[row : row + 1] for row in range(len(INPUTS))]
    each = [inputs_of(backbone, [text], own[row], place=place) for row, text in enumerate(INPUTS)]
    alone = [backbone.generate(inputs, config)[0] for inputs in each]
    assert together == alone
    assert len(set(together)) > 1


@pytest.mark.parametrize("place", PLACES)
def test_places_known_by_number_are_counted_without_padding(place):
    backbone = tiny.absolute_decoder_only()
    prefixes = random_prefixes(backbone, len(INPUTS))
    together = inputs_of(backbone, INPUTS, prefixes, place=place)
    alone = [inputs_of(backbone, [text], prefixes[row : row + 1], place=place) for row, text in enumerate(INPUTS)]
    scores = [backbone.score(each, [answer]).log_likelihood for each, answer in zip(alone, ANSWERS, strict=True)]
    torch.testing.assert_close(
        backbone.score(together, ANSWERS).log_likelihood, torch.cat(scores), atol=1e-3, rtol=1e-4
    )
    assert backbone.generate(together, SHORT) == [backbone.generate(each, SHORT)[0] for each in alone]


def test_a_prefix_of_no_vectors_changes_nothing(backbone):
    bare, prefixed = (inputs_of(backbone, INPUTS, each) for each in (None, random_prefixes(backbone, 4, count=0)))
    assert torch.equal(bare.embeds, prefixed.embeds)
    assert torch.equal(bare.mask, prefixed.mask)


def test_another_prefix_gives_other_scores_and_answers(backbone):
    one, other = (inputs_of(backbone, INPUTS, random_prefixes(backbone, 4, seed=seed)) for seed in (1, 2))
    assert not torch.allclose(
        backbone.score(one, ANSWERS).log_likelihood, backbone.score(other, ANSWERS).log_likelihood
    )
    assert backbone.generate(one, SHORT) != backbone.generate(other, SHORT)


@few
@given(text=WORDS, target=WORDS)
def test_an_encoder_decoders_score_is_its_models_own_loss(text, target):
    backbone = tiny.encoder_decoder()
    encoded = backbone.tokenizer(text, return_tensors="pt")
    labels = backbone.tokenizer(target, return_tensors="pt").input_ids
    own = backbone.model(**encoded, labels=labels).loss
    torch.testing.assert_close(backbone.loss(backbone.embed([text]), [target]), own, atol=1e-4, rtol=1e-4)


@few
@given(text=WORDS, target=WORDS, count=st.integers(0, 3), place=st.sampled_from(PLACES), is_trained=st.booleans())
def test_a_decoder_onlys_score_is_the_log_softmax_along_one_sequence(text, target, count, place, is_trained):
    """Against one plain pass over [start, prefix, input, separator, answer, end], without masks or positions.

    Or, with the vectors after the input, over [start, input, separator, vectors, answer, end].
    """
    backbone = tiny.decoder_only()
    start, end = [backbone.tokenizer.bos_token_id], [backbone.tokenizer.eos_token_id]
    asked, answered = backbone._ids(text + "\n"), backbone._ids(target) + end
    prefix = random_prefixes(backbone, 1, count=count)
    read = [prefix[0], embedded(backbone, asked)]
    parts = [embedded(backbone, start), *(read if place == "before" else read[::-1]), embedded(backbone, answered)]
    logits = backbone.model(inputs_embeds=torch.cat(parts)[None]).logits[0].log_softmax(dim=-1)
    by_hand = sum(logits[at - 1 - len(answered), token] for at, token in enumerate(answered))
    with torch.set_grad_enabled(is_trained):
        scores = backbone.score(backbone.embed([text]).with_prefix(prefix, place=place), [target])
    torch.testing.assert_close(scores.log_likelihood[0], by_hand, atol=1e-3, rtol=1e-4)
    assert scores.tokens[0] == len(answered)


def test_the_loss_is_the_mean_over_all_answer_tokens_and_reaches_the_prefix(backbone):
    prefixes = random_prefixes(backbone, len(INPUTS)).requires_grad_()
    inputs = inputs_of(backbone, INPUTS, prefixes)
    loss, scores = backbone.loss(inputs, ANSWERS), backbone.score(inputs, ANSWERS)
    torch.testing.assert_close(loss, -scores.log_likelihood.sum() / scores.tokens.sum())
    loss.backward()
    assert prefixes.grad.isfinite().all()
    assert (prefixes.grad.abs().sum(dim=-1) > 0).all()


DECODERS = {"llama": tiny.decoder_only, "gpt2": tiny.absolute_decoder_only}


@pytest.mark.parametrize("name", DECODERS)
def test_an_input_read_ahead_gives_the_loss_and_gradients_of_one_pass(name, monkeypatch):
    backbone = DECODERS[name]()
    prefixes = random_prefixes(backbone, len(INPUTS)).requires_grad_()
    ahead, plain = ([], [])
    for found in (ahead, plain):
        loss = backbone.loss(inputs_of(backbone, INPUTS, prefixes, place="after"), ANSWERS)
        found += [loss.detach(), *torch.autograd.grad(loss, [prefixes])]
        monkeypatch.setattr(type(backbone), "_may_read_ahead", lambda *_: False)
    for one, other in zip(ahead, plain, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)
    assert (ahead[1].abs().sum(dim=-1) > 0).all()


@pytest.mark.parametrize(("place", "passes"), [("before", [True]), ("inside", [False, True]), ("after", [False, True])])
def test_what_stands_before_the_vectors_is_read_once_and_without_gradients(place, passes, monkeypatch):
    backbone = tiny.decoder_only()
    own, with_gradients, lengths = backbone.model.forward, [], []

    def forward(**given):
        with_gradients.append(torch.is_grad_enabled())
        lengths.append(given["inputs_embeds"].shape[1])
        return own(**given)

    monkeypatch.setattr(backbone.model, "forward", forward)
    inputs = inputs_of(backbone, INPUTS, random_prefixes(backbone, len(INPUTS)), place=place)
    backbone.loss(inputs, ANSWERS)
    longest = max(backbone.count_answer_tokens(ANSWERS))
    assert with_gradients == passes
    assert sum(lengths) == inputs.embeds.shape[1] + longest
    behind = {"before": sum(lengths) - longest, "inside": 3 + backbone.closing_tokens, "after": 3}[place]
    assert lengths[-1] == behind + longest


@pytest.mark.parametrize("name", DECODERS)
@pytest.mark.parametrize("place", PLACES)
def test_the_head_reads_a_batch_in_one_block_so_that_torch_makes_one_product_of_it(name, place):
    backbone, blocks = DECODERS[name](), []
    head = backbone.model.get_output_embeddings()
    head.register_forward_hook(lambda _, states, __: blocks.append((states[0].shape[:2], states[0].is_contiguous())))
    inputs = inputs_of(backbone, INPUTS, random_prefixes(backbone, len(INPUTS)), place=place)
    backbone.loss(inputs, ANSWERS)
    longest = max(backbone.count_answer_tokens(ANSWERS))
    read = [] if place == "before" else [(torch.Size([len(INPUTS), 1]), True)]
    assert blocks == [*read, (torch.Size([len(INPUTS), longest + 1]), True)]


def test_a_model_whose_weights_train_reads_all_with_gradients():
    """The gradient of a weight has a part in what stands before the vectors too."""
    backbone = tiny.decoder_only()
    weight = backbone.model.model.layers[0].self_attn.k_proj.weight.requires_grad_()
    inputs = inputs_of(backbone, INPUTS, random_prefixes(backbone, len(INPUTS)), place="after")
    (found,) = torch.autograd.grad(backbone.loss(inputs, ANSWERS), [weight])
    plain = replace(inputs, tail=0)
    (expected,) = torch.autograd.grad(backbone.loss(plain, ANSWERS), [weight])
    torch.testing.assert_close(found, expected)


def test_activations_that_are_computed_again_are_those_of_one_pass():
    backbone = tiny.decoder_only()
    prefixes = random_prefixes(backbone, len(INPUTS)).requires_grad_()
    losses = []
    for enabled in (False, True):
        with recomputing(backbone.model, enabled=enabled):
            losses.append(backbone.loss(inputs_of(backbone, INPUTS, prefixes, place="after"), ANSWERS))
            (gradient,) = torch.autograd.grad(losses[-1], [prefixes])
            assert gradient.abs().sum() > 0
    torch.testing.assert_close(*losses)


def test_a_long_answer_is_scored_up_to_the_limit(backbone):
    asked = backbone.embed(["x"])
    cut, whole = backbone.score(asked, ["abcdef"], max_tokens=4), backbone.score(asked, ["abc"])
    assert cut.tokens.tolist() == [4]
    torch.testing.assert_close(cut.log_likelihood, whole.log_likelihood)


def test_tokens_are_counted_as_they_are_read_and_scored(backbone):
    assert [backbone.count_tokens(text) for text in INPUTS] == [len(row) for row in backbone.embed(INPUTS).rows]
    for limit in (6, 256):
        embedded = backbone.embed(INPUTS, max_tokens=limit)
        assert backbone.count_input_tokens(INPUTS, max_tokens=limit) == [len(row) for row in embedded.rows]
    counted = backbone.count_answer_tokens(ANSWERS, max_tokens=6)
    assert counted == backbone.score(backbone.embed(INPUTS), ANSWERS, max_tokens=6).tokens.tolist()


@pytest.mark.parametrize("limit", [1, 6, 20])
def test_a_long_input_loses_its_end_but_neither_start_nor_closing_tokens(backbone, chat, limit):
    for each in (backbone, chat):
        before, after = each._frame
        room = max(1, limit - len(before) - len(after))
        kept = each._ids("a long input that is cut"[:room])
        (row,) = each.embed(["a long input that is cut"], max_tokens=limit).rows
        assert torch.equal(row, embedded(each, [*before, *kept, *after]))


@pytest.mark.parametrize("limit", [1, 6, 20, 99])
def test_a_cut_text_is_what_is_read_of_a_long_one(backbone, chat, limit):
    text = "a long input that is cut"
    for each in (backbone, chat):
        kept = each.cut(text, max_tokens=limit)
        assert text.startswith(kept)
        assert (kept == text) == (limit == 99)
        assert torch.equal(each.embed([kept], max_tokens=99).embeds, each.embed([text], max_tokens=limit).embeds)


def test_a_chat_is_read_as_its_template_writes_it_and_the_prefix_follows_the_header(chat):
    ids = chat._ids("<s>[what is it]!")
    prefix = random_prefixes(chat, 1)
    inputs = chat.embed(["what is it"])
    assert torch.equal(inputs.embeds[0], embedded(chat, ids))
    prefixed = inputs.with_prefix(prefix).embeds[0]
    assert torch.equal(prefixed, torch.cat([embedded(chat, ids[:2]), prefix[0], embedded(chat, ids[2:])]))


TURNS = '{% for turn in messages %}<s>{{ turn.content }}<unk> {% endfor %}{{ "!" if add_generation_prompt }}'


@pytest.mark.parametrize(("template", "end"), [(TURNS, 3), (TURNS.replace("<unk>", "."), 2), ("<s>always this", 2)])
def test_a_chats_answer_ends_with_the_command_that_its_template_puts_behind_one(family, template, end):
    chat = tiny.FAMILIES[family](use_chat_template=True)
    chat.tokenizer.chat_template = template
    assert chat._answer_ids(["yes"], max_tokens=9) == [[*chat._ids("yes"), end]]
    assert chat._ends == {2, end}


def test_a_chat_falls_silent_at_the_end_of_its_turn(family):
    chat = tiny.FAMILIES[family](use_chat_template=True)
    chat.tokenizer.chat_template = TURNS
    chat.model.generation_config.suppress_tokens = [token for token in range(260) if token != 3]
    writing = RowGeneration(SHORT)
    chat.write(chat.embed(INPUTS[:1]), [writing])
    assert (writing.tokens, writing.ending) == ([], "stop")


MODELS = {"t5": tiny.encoder_decoder, "bert": tiny.joined_encoder_decoder}
MODELS |= {"llama": tiny.decoder_only, "gpt2": tiny.absolute_decoder_only}


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("strategy", ["greedy", "beam"])
@pytest.mark.parametrize("ends", [2, [2, *range(70, 90)], None], ids=["one-end", "ends-that-are-words", "no-end"])
def test_what_is_not_drawn_is_answered_as_by_transformers_itself(name, strategy, ends):
    backbone = MODELS[name]()
    backbone.model.generation_config.update(eos_token_id=ends, repetition_penalty=1.5, top_k=3)
    inputs = inputs_of(backbone, INPUTS, random_prefixes(backbone, len(INPUTS)))
    for longest in (1, 16):
        ids = backbone.model.generate(
            inputs_embeds=inputs.embeds, attention_mask=inputs.mask.long(), max_new_tokens=longest, do_sample=False,
            num_beams=4 if strategy == "beam" else 1, repetition_penalty=1.0, pad_token_id=0,
        )  # fmt: skip
        expected = [text.strip() for text in backbone.tokenizer.batch_decode(ids, skip_special_tokens=True)]
        assert backbone.generate(inputs, GenerationConfig(strategy, max_new_tokens=longest)) == expected
        assert len(set(expected)) > 1


@pytest.mark.parametrize("strategy", ["greedy", "sample", "beam"])
def test_no_answer_and_no_score_moves_torchs_own_draws(backbone, strategy):
    config = GenerationConfig(strategy, max_new_tokens=6, seed=5)
    inputs = backbone.embed(INPUTS[:1])
    before = torch.random.get_rng_state()
    backbone.generate(inputs, config)
    backbone.score(inputs, ANSWERS[:1])
    if strategy != "beam":
        list(backbone.stream(inputs, config))
        backbone.write(inputs, [RowGeneration(config)])
    assert torch.equal(torch.random.get_rng_state(), before)


def test_a_row_is_drawn_by_the_seed_whoever_is_beside_it_and_whatever_torch_drew_before(backbone):
    config = GenerationConfig("sample", temperature=2.0, max_new_tokens=10, seed=1)
    together = backbone.generate(backbone.embed([*INPUTS, INPUTS[0]]), config)
    torch.rand(1)
    assert together[:-1] == [backbone.generate(backbone.embed([text]), config)[0] for text in INPUTS]
    assert together[-1] == together[0]
    assert len(set(together)) > 2


@pytest.mark.parametrize("strategy", ["greedy", "sample"])
def test_streamed_pieces_join_to_the_answer(backbone, strategy):
    for text in INPUTS[:2]:
        config = GenerationConfig(strategy=strategy, max_new_tokens=16)
        inputs = backbone.embed([text])
        pieces = list(backbone.stream(inputs, config))
        assert "".join(pieces).strip() == backbone.generate(inputs, config)[0]
        assert all(pieces)


@pytest.mark.parametrize(("texts", "strategy"), [(["a"], "beam"), (["a", "b"], "greedy")])
def test_neither_beams_nor_batches_are_streamed(backbone, texts, strategy):
    with pytest.raises(ValueError, match="one input"):
        list(backbone.stream(backbone.embed(texts), GenerationConfig(strategy=strategy)))


def test_a_failure_while_streaming_reaches_the_reader(backbone, monkeypatch):
    def fail(**_):
        raise RuntimeError("out of memory")

    monkeypatch.setattr(backbone.model, "generate", fail)
    with pytest.raises(RuntimeError, match="out of memory"):
        list(backbone.stream(backbone.embed(["a"])))


def test_sampling_repeats_with_its_seed_and_changes_with_another(backbone):
    inputs = backbone.embed(["what is it"])
    first, again, other = (
        backbone.generate(inputs, GenerationConfig(strategy="sample", max_new_tokens=10, seed=seed))
        for seed in (1, 1, 2)
    )
    assert first == again != other


def test_a_tokenizer_without_padding_is_given_its_end_token(family):
    make = tiny.FAMILIES[family]()
    make.tokenizer.pad_token = None
    again = type(make)(make.model, make.tokenizer)
    assert again.tokenizer.pad_token_id == make.tokenizer.eos_token_id


def test_the_norm_of_embeddings_is_that_of_what_the_model_reads():
    """BART may scale what it looks up: the norm is measured after that."""
    config = BartConfig(
        vocab_size=260, d_model=16, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=16, decoder_ffn_dim=16, scale_embedding=True, pad_token_id=0,
    )  # fmt: skip
    model = BartForConditionalGeneration(config)
    backbone = EncoderDecoderBackbone(model, tiny.byte_tokenizer(start=False, end=True))
    every = embedded(backbone, list(range(260)))
    assert backbone.embedding_norm == pytest.approx(float(every.norm(dim=-1).mean()))
    assert backbone.embedding_norm == pytest.approx(4 * float(model.model.shared.weight.norm(dim=-1).mean()), rel=1e-4)


@pytest.mark.parametrize(
    "values", [{"beams": 0}, {"max_new_tokens": 0}, {"temperature": 0.0}, {"top_p": 0.0}, {"strategy": "guess"}]
)
def test_impossible_ways_of_decoding_are_refused(values):
    with pytest.raises(ConfigError, match="here"):
        from_mapping(GenerationConfig, values, where="here")


def test_a_joined_language_model_reads_what_its_encoder_does():
    joined = tiny.joined_encoder_decoder()
    joined.model.config.decoder.max_position_embeddings = 96
    assert joined.positions(answer_tokens=40) == 512


def test_a_language_model_that_counts_from_token_to_token_reads_any_number():
    assert tiny.encoder_decoder().positions(answer_tokens=40) is None


def test_a_decoder_only_model_has_room_for_the_longest_input_with_its_answer_and_for_no_more():
    backbone = tiny.absolute_decoder_only()
    room = backbone.positions(answer_tokens=40)
    for longest in (room, room + 1):
        inputs = backbone.embed(["x" * 200], max_tokens=longest)
        with nullcontext() if longest == room else pytest.raises(IndexError):
            backbone.score(inputs, ["y" * 100], max_tokens=40)
