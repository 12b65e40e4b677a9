from dataclasses import replace

import pytest
import torch
from torch.nn import functional

from personaplug.backbone.base import GenerationConfig
from personaplug.embedder.copy_head import CopyingConfig
from personaplug.embedder.embedder_config import PAPER, EmbedderConfig
from personaplug.errors import ConfigError, FingerprintMismatchError
from personaplug.plug.model import PersonaPlug, build_plug
from personaplug.plug.query_source import QuerySource
from personaplug.records import Profile
from tests import tiny
from tests.world import TASK, USERS, as_if_trained, make_run, make_store

SHORT = GenerationConfig(max_new_tokens=8)
BEAM = GenerationConfig(strategy="beam", max_new_tokens=8)
QUESTION = "your own view about x"

OUTPUTS = EmbedderConfig(made_of="outputs", output_tokens=2, gain=1.0, place="after")
METHODS = {
    "default": {},
    "paper": {"embedder": PAPER},
    "bare": {"embedder": EmbedderConfig(personas=2, instructions=0)},
    "tuned": {"method": "tuned-prompt"},
    "outputs": {"embedder": OUTPUTS},
    "after": {"embedder": EmbedderConfig(place="after")},
    "inside": {"embedder": replace(OUTPUTS, place="inside")},
    "quotes": {"embedder": replace(OUTPUTS, place="inside", made_of="quotes", quotes=2)},
    "copying": {"embedder": OUTPUTS, "copying": CopyingConfig(order=2)},
}


def build(models, family, store, *, method="default"):
    return as_if_trained(
        build_plug(make_run(models, family, **METHODS[method]), TASK, store=store, query_source=QuerySource.STORE)
    )


@pytest.fixture(scope="module", params=list(METHODS))
def method(request):
    return request.param


@pytest.fixture(scope="module")
def plug(models, family, store, method):
    return build(models, family, store, method=method)


@pytest.fixture(scope="module")
def default(models, family, store):
    return build(models, family, store)


@pytest.mark.parametrize("config", [SHORT, BEAM], ids=["greedy", "beam"])
def test_a_mixed_batch_is_answered_as_one_by_one(plug, examples, config):
    assert plug.respond(examples, config) == [plug.respond([example], config)[0] for example in examples]


def test_a_mixed_batch_is_scored_as_one_by_one(plug, examples):
    together = plug.score(examples)
    for row, example in enumerate(examples):
        alone = plug.score([example])
        torch.testing.assert_close(together.log_likelihood[row], alone.log_likelihood[0], atol=1e-3, rtol=1e-4)


def test_the_same_question_gets_other_users_other_answers(default, examples):
    asked = [replace(example, input=QUESTION, target="yes") for example in examples]
    assert len(set(default.score(asked).log_likelihood.tolist())) == len(USERS)
    questions = [QUESTION, "what of tea?", "your own view", "a talk about y"]
    answers = [default.respond([replace(example, input=text) for example in examples], SHORT) for text in questions]
    assert any(len(set(each)) > 1 for each in answers)


def test_a_tuned_prompt_gives_every_user_the_same_answer(models, family, store, examples):
    tuned = build(models, family, store, method="tuned")
    asked = [replace(example, input=QUESTION) for example in examples]
    assert len(set(tuned.respond(asked, SHORT))) == 1


def test_save_then_load_changes_no_answer_score_or_weight(plug, store, examples, tmp_path):
    plug.save_pretrained(tmp_path / "run")
    loaded = PersonaPlug.from_pretrained(tmp_path / "run", store=store)
    assert all(torch.equal(tensor, loaded.state_dict()[name]) for name, tensor in plug.state_dict().items())
    assert loaded.respond(examples, SHORT) == plug.respond(examples, SHORT)
    assert torch.equal(loaded.score(examples).log_likelihood, plug.score(examples).log_likelihood)
    assert (loaded.run, loaded.batcher.task) == (plug.run, plug.batcher.task)
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == [
        "config.toml",
        *(["copy_head.safetensors"] if plug.run.copies else []),
        "model.safetensors",
        "task.toml",
    ]


def test_what_is_saved_holds_no_weight_of_the_language_model_or_of_a_frozen_encoder(plug):
    names = {name.split(".")[1] for name in plug.state_dict()}
    trained_encoder = {"query_encoder"} if plug.run.embedder.query_encoder == "trained" else set()
    assert names <= {"embedder", "prompt", "gate"} | trained_encoder
    frozen = [*plug.backbone.model.parameters()]
    assert not any(weight is other for weight in plug.parameters() for other in frozen)


def test_the_loss_is_that_of_the_backbone_over_the_prefixed_prompts(default, examples):
    batch = default.batcher(examples)
    scores = default.score(examples)
    torch.testing.assert_close(default(batch)["loss"], -scores.log_likelihood.sum() / scores.tokens.sum())
    assert default.loss(batch).requires_grad


@pytest.mark.parametrize("method", ["outputs", "after"], indirect=True)
def test_vectors_after_the_input_are_the_last_that_the_language_model_reads(plug, examples):
    count = plug.run.embedder.vectors
    bare = plug.embedded(examples, with_persona=False).rows
    vectors = plug.prefix(plug.batcher(examples))
    for row, asked, own in zip(plug.embedded(examples).rows, bare, vectors, strict=True):
        assert torch.equal(row[:-count], asked)
        assert torch.equal(row[-count:], own)


def test_a_persona_of_outputs_knows_what_its_user_wrote(models, family, store, examples):
    plug = build(models, family, store, method="outputs")
    dee = examples[-1]
    other = replace(dee.profile, items=tuple(replace(item, output="maybe") for item in dee.profile.items))
    own, changed = (plug.prefix(plug.batcher([each])) for each in (dee, replace(dee, profile=other)))
    count = plug.run.embedder.instructions
    assert torch.equal(own[:, :count], changed[:, :count])
    assert not torch.isclose(own[:, count:], changed[:, count:]).all(dim=-1).any()


@pytest.mark.parametrize("user", list(USERS))
def test_generating_for_a_user_is_answering_their_whole_stored_history(default, store, examples, user):
    example = next(example for example in examples if example.profile.user_id == user)
    asked = replace(default.example(QUESTION, user=user), time=example.time)
    assert asked.profile == (store.get(user) if USERS[user] else Profile(user))
    assert (
        default.generate(QUESTION, user=user, config=SHORT)
        == default.respond([default.example(QUESTION, user=user)], SHORT)[0]
    )


def test_without_persona_the_bare_language_model_answers(default):
    backbone = default.backbone
    (bare,) = backbone.generate(backbone.embed([f"Say: {QUESTION}"]), SHORT)
    for user in USERS:
        assert default.generate(QUESTION, user=user, config=SHORT, with_persona=False) == bare


@pytest.mark.parametrize("with_persona", [True, False])
def test_streamed_pieces_join_to_the_generated_answer(default, with_persona):
    pieces = default.stream(QUESTION, user="dee", config=SHORT, with_persona=with_persona)
    whole = default.generate(QUESTION, user="dee", config=SHORT, with_persona=with_persona)
    assert "".join(pieces).strip() == whole


def test_explained_memories_are_all_that_was_seen_weightiest_first(default, store):
    memories = default.explain(QUESTION, user="dee")
    weights = [memory.weight for memory in memories]
    assert weights == sorted(weights, reverse=True)
    assert sum(weights) == pytest.approx(1.0, abs=1e-5)
    assert {memory.item for memory in memories} == set(store.get("dee").items[-20:])


def test_an_explained_similarity_is_the_cosine_of_the_query_and_the_items_first_view(default, examples):
    encoder = tiny.text_encoder()
    (query,) = encoder.encode([TASK.query_text(examples[3].input)])
    for memory in default.memories(examples)[3]:
        (key,) = encoder.encode([TASK.view_texts(memory.item)[0]])
        assert memory.similarity == pytest.approx(float(query @ key), abs=1e-3)
        assert memory.age_days == pytest.approx((examples[3].time - memory.item.time).days)


def test_memories_of_a_mixed_batch_equal_those_of_one_by_one(default, examples):
    for together, example in zip(default.memories(examples), examples, strict=True):
        (alone,) = default.memories([example])
        assert [memory.item for memory in together] == list(example.profile.items[-20:])
        assert [memory.weight for memory in together] == pytest.approx([memory.weight for memory in alone], abs=1e-5)


def test_a_user_without_memories_has_nothing_to_explain(default):
    assert default.explain(QUESTION, user="nobody") == []


def test_a_tuned_prompt_cannot_be_explained(models, family, store):
    with pytest.raises(ConfigError, match="no memories"):
        build(models, family, store, method="tuned").explain(QUESTION, user="dee")


def test_a_tuned_prompt_has_as_many_vectors_as_the_plug(models, family, store, examples):
    tuned, plug = (build(models, family, store, method=method) for method in ("tuned", "default"))
    assert tuned.prefix(tuned.batcher(examples)).shape == plug.prefix(plug.batcher(examples)).shape


def test_the_same_seed_builds_the_same_plug(models, store):
    run = make_run(models, "encoder-decoder")
    first, again = (build_plug(run, TASK, store=store, query_source=QuerySource.STORE).state_dict() for _ in range(2))
    other = build_plug(
        replace(run, training=replace(run.training, seed=1)), TASK, store=store, query_source=QuerySource.STORE
    ).state_dict()
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not all(torch.equal(first[name], other[name]) for name in first)


def test_a_prefix_is_drawn_by_the_seed_and_no_other_draw_moves(models, store):
    run = make_run(models, "encoder-decoder", method="tuned-prompt")
    before = torch.random.get_rng_state()
    run = replace(run, training=replace(run.training, seed=3))
    built = build_plug(run, TASK, store=store, query_source=QuerySource.STORE)
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.manual_seed(3)
    for vector in built.prefix.prompt.vectors:
        assert torch.equal(vector, functional.normalize(torch.randn(len(vector)), dim=0))


def test_a_persona_is_not_built_without_a_store(models):
    with pytest.raises(ConfigError, match="store"):
        build_plug(make_run(models, "decoder-only"), TASK, query_source=QuerySource.STORE)


def test_a_tuned_prompt_needs_no_store_until_a_user_is_named(models, examples):
    tuned = build(models, "decoder-only", None, method="tuned")
    assert tuned.respond(examples, SHORT)
    with pytest.raises(ConfigError, match="without a store"):
        tuned.generate(QUESTION, user="ada")


def test_a_store_of_another_encoder_is_refused(models, tmp_path):
    with (
        make_store(tmp_path / "other.db", tiny.text_encoder(seed=1)) as other,
        pytest.raises(FingerprintMismatchError, match="made by the encoder"),
    ):
        build_plug(make_run(models, "decoder-only"), TASK, store=other, query_source=QuerySource.STORE)


def test_a_store_of_another_tasks_views_is_refused(models, store):
    with pytest.raises(FingerprintMismatchError, match="views"):
        build_plug(
            make_run(models, "decoder-only"),
            replace(TASK, views=("{input}",)),
            store=store,
            query_source=QuerySource.STORE,
        )


def test_a_folder_that_is_no_run_is_named(tmp_path, store):
    with pytest.raises(ConfigError, match="is no run") as caught:
        PersonaPlug.from_pretrained(tmp_path, store=store)
    assert caught.value.hint
