"""An adapter of all users: beside the language model while a plug answers, and nowhere else."""

from dataclasses import replace
from functools import partial

import pytest
import torch
from safetensors.torch import load_file
from transformers import TrainingArguments

from personaplug.backbone.generation_config import GenerationConfig
from personaplug.backbone.row_generation import RowGeneration
from personaplug.embedder.copy_head import CopyingConfig
from personaplug.embedder.embedder_config import OURS
from personaplug.errors import ConfigError
from personaplug.method_kinds import METHOD_KINDS
from personaplug.plug.adapter_config import SharedAdapterConfig
from personaplug.plug.model import PersonaPlug, build_plug
from personaplug.plug.query_source import QuerySource
from personaplug.plug.run import PRESETS, RunConfig, TrainingConfig
from personaplug.plug.run_file import read_config
from personaplug.plug.run_folder import ADAPTER, CONFIG, WEIGHTS
from personaplug.plug.shared_adapter import SharedAdapter, each_its_own
from personaplug.records import Profile
from personaplug.rivals.user_lora.adapters import LoraConfig, UserAdapters
from personaplug.training.trainer import train
from tests import tiny
from tests.plug.adapters import SMALL, moved
from tests.world import TASK, as_if_trained, make_run

TUNED_LORA = [name for name, kind in METHOD_KINDS.items() if kind.is_shared_adapter]
SHORT = GenerationConfig(max_new_tokens=40)


def made(models, family, store, *, method="tuned-lora", adapter=SMALL, training=TrainingConfig()):  # noqa: B008 (frozen)
    run = replace(make_run(models, family, method=method, training=training), adapter=adapter)
    return build_plug(run, TASK, store=store, query_source=QuerySource.STORE)


def test_an_untrained_adapter_answers_as_the_bare_language_model(models, family, store, examples):
    plug = made(models, family, store)
    bare = plug.embedded(examples, with_persona=False)
    ours = plug.inputs(plug.batcher(examples))
    targets = [example.target for example in examples]
    torch.testing.assert_close(
        plug.backbone.score(ours, targets).log_likelihood, plug.backbone.score(bare, targets).log_likelihood
    )


def test_a_trained_adapter_moves_answers_and_no_weight_of_the_language_model(models, family, store, examples):
    plug = made(models, family, store)
    before = {name: weight.clone() for name, weight in plug.backbone.model.named_parameters()}
    bare = plug.respond(examples, with_persona=False)
    likely = plug.score(examples).log_likelihood
    as_if_trained(plug)
    assert not torch.allclose(plug.score(examples).log_likelihood, likely, atol=0.1)
    assert plug.respond(examples, with_persona=False) == bare
    for name, weight in plug.backbone.model.named_parameters():
        assert torch.equal(weight, before[name])
        assert not weight.requires_grad


def test_nothing_stays_beside_the_language_model_when_an_answer_fails(models, store, examples, monkeypatch):
    plug = as_if_trained(made(models, "decoder-only", store))

    def fail(*_, **__):
        raise RuntimeError("no memory")

    bare = plug.respond(examples, with_persona=False)
    with monkeypatch.context() as patched:
        patched.setattr(plug.backbone.model, "generate", fail)
        with pytest.raises(RuntimeError, match="no memory"):
            plug.respond(examples)
    assert plug.respond(examples, with_persona=False) == bare
    assert not any(module._forward_hooks for module in plug.backbone.model.modules())


@pytest.mark.parametrize("make", [tiny.decoder_only, tiny.encoder_decoder, tiny.absolute_decoder_only])
def test_it_computes_what_peft_computes_of_the_same_matrices(make):
    backbone, other = make(), make()
    adapter = moved(backbone, replace(SMALL, reads="all"))
    theirs = UserAdapters(other, LoraConfig(rank=SMALL.rank, alpha=SMALL.alpha))
    pairs = zip(adapter.names, adapter.first, adapter.second, strict=True)
    named = {name: (first, second) for name, first, second in pairs}
    start = {}
    for key in theirs.start:
        name = next(each for each in named if f".{each}.lora" in f".{key}")
        start[key] = named[name]["lora_B" in key].detach()
    texts, targets = ["abc", "a longer one"], ["yes", "no"]
    ours = replace(backbone.embed(texts), beside=partial(adapter.beside, backbone.model))
    with torch.no_grad():
        mine = backbone.score(ours, targets).log_likelihood
        with theirs.training(start):
            wanted = other.score(other.embed(texts), targets).log_likelihood
        bare = backbone.score(backbone.embed(texts), targets).log_likelihood
    torch.testing.assert_close(mine, wanted, atol=1e-4, rtol=1e-4)
    assert not torch.allclose(mine, bare, atol=1e-2)


def test_only_the_rows_that_are_named_go_through_it():
    backbone = tiny.decoder_only()
    adapter = moved(backbone)
    texts, targets = ["abc", "abc", "xyz"], ["yes", "yes", "no"]
    inputs = backbone.embed(texts)
    with torch.no_grad():
        bare, with_it = (
            backbone.score(each, targets).log_likelihood
            for each in (inputs, replace(inputs, beside=partial(adapter.beside, backbone.model)))
        )
        mixed = replace(inputs, beside=partial(adapter.beside, backbone.model, rows=[True, False, True]))
        got = backbone.score(mixed, targets).log_likelihood
    torch.testing.assert_close(got, torch.stack([with_it[0], bare[1], with_it[2]]))


def test_the_frozen_model_reads_inputs_as_without_it():
    backbone = tiny.decoder_only()
    adapter, texts = moved(backbone, closing=2, vectors=3), ["abc and more", "a"]
    inputs = backbone.embed(texts).with_prefix(torch.randn(2, 3, backbone.dim), place="after")

    def read(model):
        layers = model(inputs_embeds=inputs.embeds, attention_mask=inputs.mask.long()).past_key_values.layers
        return torch.stack([torch.stack([layer.keys, layer.values]) for layer in layers])

    with torch.no_grad():
        bare = read(backbone.model)
        with adapter.beside(backbone.model) as model:
            ours = read(model)
    known = inputs.embeds.shape[1] - adapter.tail
    assert known > 0
    torch.testing.assert_close(ours[..., :known, :], bare[..., :known, :])
    assert not torch.allclose(ours[..., known:, :], bare[..., known:, :], atol=1e-2)


def beside_a_persona(models, family, store, *, training=TrainingConfig(), place="after", copying=False, **adapter):  # noqa: B008 (frozen)
    """Make the default's persona, where nothing stands for whoever has no items, beside a small adapter."""
    made_of = "quotes" if place == "inside" else "outputs"  # as each is meant
    run = make_run(models, family, embedder=replace(OURS, place=place, made_of=made_of), training=training)
    run = replace(run, adapter=replace(SMALL, **adapter), copying=CopyingConfig() if copying else run.copying)
    return build_plug(run, TASK, store=store, query_source=QuerySource.STORE)


def of_the_same_adapter(plug, models, family, store):
    """Make the control: the adapter alone."""
    control = made(models, family, store, adapter=plug.run.adapter, training=plug.run.training)
    own = control.adapter.state_dict()
    control.adapter.load_state_dict({name: weight for name, weight in plug.adapter.state_dict().items() if name in own})
    return control


@pytest.mark.parametrize("place", ["before", "inside", "after"])
@pytest.mark.parametrize("adapter", [{}, {"reads": "all"}, {"learns": "both"}, {"reads": "all", "learns": "apart"}])
@pytest.mark.parametrize("decoding", [SHORT, replace(SHORT, strategy="beam", beams=2, max_new_tokens=6)])
def test_who_has_no_items_is_answered_by_the_adapter_alone(models, family, store, examples, place, adapter, decoding):
    plug = as_if_trained(beside_a_persona(models, family, store, place=place, copying=True, **adapter))
    control = of_the_same_adapter(plug, models, family, store)
    for each in (plug, control):  # beams are weighed by what is left, where a model's own rules take tokens away
        each.backbone.model.generation_config.suppress_tokens = None
    unknown = [replace(each, profile=Profile("nobody")) for each in examples[2:]]
    mixed, alike = [*examples[2:], *unknown], slice(len(examples) - 2, None)
    likely, wanted = (each.score(mixed).log_likelihood for each in (plug, control))
    torch.testing.assert_close(likely[alike], wanted[alike], atol=1e-4, rtol=1e-4)
    assert not torch.isclose(likely, wanted, atol=1e-2)[: alike.start].any()
    assert plug.respond(mixed, decoding)[alike] == control.respond(mixed, decoding)[alike]


def test_without_an_adapter_the_instruction_stands_there_for_who_has_no_items(models, family, store, examples):
    run = make_run(models, family, embedder=replace(OURS, instructions=4))
    plug = as_if_trained(build_plug(run, TASK, store=store, query_source=QuerySource.STORE))
    unknown = [replace(examples[0], profile=Profile("nobody"))]
    assert plug.inputs(plug.batcher(unknown)).mask.sum() == plug.embedded(unknown, with_persona=False).mask.sum() + 4
    assert not torch.allclose(plug.score(unknown).log_likelihood, scored_bare(plug, unknown), atol=1e-2)


def scored_bare(plug, examples):
    targets = [example.target for example in examples]
    with torch.no_grad():
        return plug.backbone.score(plug.embedded(examples, with_persona=False), targets).log_likelihood


def gradients(plug, examples):
    """Give the gradients of a training's loss, by the names of the weights that get some."""
    return gradients_of(plug.train().loss(plug.batcher(examples)), plug)


def joined(gradients, part):
    """Put the gradients of a part in a row."""
    return torch.cat([gradients[name].flatten() for name in sorted(gradients) if name.startswith(part)])


def gradients_of(loss, plug):
    plug.zero_grad()
    loss.backward()
    named = plug.named_parameters()
    return {name: weight.grad.clone() for name, weight in named if weight.numel() and weight.grad is not None}


@pytest.mark.parametrize("reads", ["answer", "all"])
def test_the_adapter_learns_of_two_readings_and_the_rest_of_the_one_with_the_persona(
    models, family, store, examples, reads
):
    examples = [each for each in examples if each.profile.items]
    plug, together = (
        as_if_trained(beside_a_persona(models, family, store, reads=reads, copying=True, learns=each))
        for each in ("both", "with")
    )
    found, alone, with_it = (
        gradients(each, examples) for each in (plug, of_the_same_adapter(plug, models, family, store), together)
    )
    assert found.keys() == with_it.keys() > alone.keys()
    wanted = with_it | {name: alone[name] + with_it[name] for name in alone}
    for part in ("adapter", "prefix", "copy_head"):
        own, alike, apart = (joined(each, part) for each in (found, wanted, with_it))
        assert torch.dist(own, alike) < 1e-3 * alike.norm()
        assert bool(torch.dist(own, apart) > 0.1 * apart.norm()) is (part == "adapter")
    torch.testing.assert_close(plug.loss(plug.batcher(examples)), together.loss(together.batcher(examples)))


@pytest.mark.parametrize("reads", ["answer", "all"])
def test_apart_each_column_learns_of_the_reading_that_is_its_own(models, family, store, examples, reads):
    plug = as_if_trained(beside_a_persona(models, family, store, reads=reads, copying=True, learns="apart"))
    found = gradients(plug, examples)
    alone = gradients(of_the_same_adapter(plug, models, family, store), examples)
    batch = plug.eval().batcher(examples)
    wanted = gradients_of(plug.backbone.loss(plug.inputs(batch), batch.targets), plug) | alone
    assert {name.split(".")[1] for name in found.keys() - alone.keys()} > {"persona_first", "persona_second"}
    for part in ("adapter.first", "adapter.second", "adapter.persona", "prefix", "copy_head"):
        own, alike = (joined(each, part) for each in (found, wanted))
        assert torch.dist(own, alike) < 1e-3 * alike.norm() > 0


def test_an_example_without_history_teaches_what_answers_alone_once(models, store, examples):
    plug = as_if_trained(beside_a_persona(models, "decoder-only", store))
    unknown = [replace(each, profile=Profile("nobody")) for each in examples]
    found, alone = (
        gradients(each, unknown) for each in (plug, of_the_same_adapter(plug, models, "decoder-only", store))
    )
    own = {name: found[name] for name in alone}
    assert torch.dist(joined(own, "adapter"), joined(alone, "adapter")) < 1e-3 * joined(alone, "adapter").norm()


@pytest.mark.parametrize("clipped", [1.0, 1e-3])
def test_what_answers_alone_is_trained_to_the_weights_of_the_control(
    models, store, examples, tmp_path, monkeypatch, clipped
):
    """However large the gradients of the rest are: each is clipped by itself."""
    monkeypatch.setattr(TrainingArguments, "max_grad_norm", clipped)
    training = TrainingConfig(epochs=3.0, batch_size=2, precision="float32", adapter_learning_rate=0.1)
    plug = beside_a_persona(models, "decoder-only", store, training=training, copying=True)
    control = made(models, "decoder-only", store, adapter=plug.run.adapter, training=training)
    for name, each in (("plug", plug), ("control", control)):
        train(each, examples, folder=tmp_path / name)
    for name, weight in control.adapter.named_parameters():
        torch.testing.assert_close(plug.adapter.get_parameter(name), weight, atol=1e-4, rtol=1e-3)
    assert all(weight.any() for weight in plug.adapter.persona_second)


def test_the_columns_for_a_persona_learn_at_a_rate_of_their_own(models, store, examples, tmp_path):
    hardly = TrainingConfig(epochs=1.0, batch_size=2, adapter_learning_rate=0.1, persona_adapter_learning_rate=1e-9)
    plug = beside_a_persona(models, "decoder-only", store, training=hardly)
    train(plug, examples, folder=tmp_path / "run")
    assert all(0 < weight.abs().max() < 1e-6 for weight in plug.adapter.persona_second)
    assert all(weight.abs().max() > 1e-3 for weight in plug.adapter.second)


@pytest.mark.parametrize("more", [{"gradient_checkpointing": True}, {"kept_megabytes": 0}])
def test_however_inputs_are_read_both_readings_teach_the_same(models, store, examples, tmp_path, more):
    weights = []
    for name, settings in (("plain", {}), ("other", more)):
        training = TrainingConfig(epochs=2.0, batch_size=2, learning_rate=0.3, precision="float32", **settings)
        plug = beside_a_persona(models, "decoder-only", store, training=training)
        read = train(plug, examples, folder=tmp_path / name).inputs_read
        assert (read.found > 0) is (name == "plain")
        weights.append(load_file(tmp_path / name / ADAPTER))
    for name, tensor in weights[0].items():
        torch.testing.assert_close(weights[1][name], tensor, atol=1e-4, rtol=1e-2)


def test_the_input_of_both_readings_is_read_once(models, store, examples, monkeypatch):
    plug = as_if_trained(beside_a_persona(models, "decoder-only", store)).train()
    read, reading = [], plug.backbone._read
    monkeypatch.setattr(plug.backbone, "_read", lambda inputs: read.append(len(inputs.embeds)) or reading(inputs))
    plug.loss(plug.batcher(examples)).backward()
    assert read == [len(examples)]


@pytest.mark.parametrize("kind", [("tuned-lora", "auto"), ("plug", "both"), ("plug", "apart")])
@pytest.mark.parametrize("place", ["before", "after"])
@pytest.mark.parametrize("reads", ["answer", "all"])
def test_an_answer_is_as_likely_with_gradients_as_without(models, family, store, examples, kind, place, reads):
    """With them the input may be read ahead, by the frozen model alone."""
    method, learns = kind
    run = replace(make_run(models, family, method=method), adapter=replace(SMALL, reads=reads, learns=learns))
    run = replace(run, embedder=replace(run.embedder, place=place))
    plug = as_if_trained(build_plug(run, TASK, store=store, query_source=QuerySource.STORE))
    scores = plug.score(examples)
    loss = plug.loss(plug.batcher(examples))
    torch.testing.assert_close(loss.detach(), -scores.log_likelihood.sum() / scores.tokens.sum(), atol=1e-5, rtol=1e-4)
    loss.backward()
    for_personas = [*plug.adapter.persona_first, *plug.adapter.persona_second]
    learning = for_personas or plug.adapter.parameters()
    assert all(weight.grad is not None and weight.grad.any() for weight in learning)


@pytest.mark.parametrize("reads", ["answer", "all"])
def test_it_writes_what_it_finds_likely(models, family, store, examples, reads):
    """Each token of a greedy answer is the likeliest, where the answer so far is given and read in one pass."""
    plug = as_if_trained(made(models, family, store, adapter=replace(SMALL, reads=reads)))
    inputs = plug.embedded(examples)
    writings = [RowGeneration(GenerationConfig(max_new_tokens=6)) for _ in examples]
    plug.backbone.write(inputs, writings)
    for row, writing in enumerate(writings):
        alone = plug.embedded([examples[row]])
        with torch.no_grad():
            logits = plug.backbone._answer_logits(alone, torch.tensor([writing.tokens]))
        logits[..., plug.backbone.model.generation_config.suppress_tokens] = -torch.inf
        assert logits[0].argmax(-1).tolist() == list(writing.tokens)


def test_inputs_that_are_kept_are_read_up_to_where_it_begins(models, store, examples, tmp_path):
    both = []
    for megabytes in (0, 100):
        training = TrainingConfig(epochs=3.0, batch_size=2, kept_megabytes=megabytes, precision="float32")
        plug = made(models, "decoder-only", store, training=training)
        read = train(plug, examples, folder=tmp_path / str(megabytes)).inputs_read
        both.append(load_file(tmp_path / str(megabytes) / ADAPTER))
    assert read.found == 3 * len(examples)
    for name, tensor in both[0].items():
        torch.testing.assert_close(tensor, both[1][name], atol=1e-5, rtol=1e-3)


def test_of_an_encoder_decoder_it_reads_what_the_decoder_does():
    adapter = SharedAdapter(tiny.encoder_decoder().model, SMALL)
    assert {name.partition(".")[0] for name in adapter.names} == {"decoder"}


def test_a_run_of_before_there_was_a_choice_has_inputs_go_through_it_too(models, store, tmp_path):
    plug = made(models, "decoder-only", store)
    plug.save_pretrained(tmp_path)
    config = tmp_path / CONFIG
    assert read_config(RunConfig, config).adapter.reads == "answer"
    lines = config.read_text().splitlines(keepends=True)
    config.write_text("".join(line for line in lines if not line.startswith(("reads", "learns"))))
    of_before = read_config(RunConfig, config).adapter
    assert (of_before.reads, of_before.learns) == ("all", "with")


def test_entered_again_it_stands_there_once():
    backbone = tiny.decoder_only()
    adapter = moved(backbone)
    inputs = replace(backbone.embed(["abc"]), beside=partial(adapter.beside, backbone.model))
    with torch.no_grad():
        once = backbone.score(inputs, ["yes"]).log_likelihood
        with adapter.beside(backbone.model, len("yes") + 1):
            twice = backbone.score(inputs, ["yes"]).log_likelihood
    torch.testing.assert_close(once, twice)


def test_two_adapters_in_one_batch_have_a_row_each():
    backbone = tiny.decoder_only()
    one, other = moved(backbone), moved(backbone)
    texts, targets = ["abc"] * 3, ["yes"] * 3
    inputs = backbone.embed(texts)

    def likely(*adapters):
        with torch.no_grad():
            beside = partial(each_its_own, backbone.model, adapters)
            return backbone.score(replace(inputs, beside=beside), targets).log_likelihood

    mixed = likely(one, None, other)
    wanted = [likely(*[each] * 3)[row] for row, each in enumerate((one, None, other))]
    torch.testing.assert_close(mixed, torch.stack(wanted))
    assert len({round(float(each), 3) for each in mixed}) == 3


def test_what_another_thread_has_the_model_read_meanwhile_does_not_go_through_it(models, store, examples):
    plug = as_if_trained(made(models, "decoder-only", store))
    backbone, targets = plug.backbone, ["yes"] * 2
    bare, adapted = backbone.embed(["abc", "xyz"]), plug.inputs(plug.batcher(examples[:1]))
    with torch.inference_mode():
        before = backbone.score(bare, targets).log_likelihood
        pieces = backbone.stream(adapted, SHORT)
        next(pieces)
        torch.testing.assert_close(backbone.score(bare, targets).log_likelihood, before)
        own = backbone.score(adapted, targets[:1]).log_likelihood
        list(pieces)
        torch.testing.assert_close(backbone.score(adapted, targets[:1]).log_likelihood, own)


@pytest.mark.parametrize("method", ["tuned-lora", "plug"])
@pytest.mark.parametrize("more", [{}, {"gradient_checkpointing": True}, {"precision": "bfloat16"}])
def test_training_moves_every_part_and_a_loaded_run_answers_the_same(models, store, examples, tmp_path, method, more):
    training = TrainingConfig(epochs=2.0, batch_size=2, adapter_learning_rate=0.1, learning_rate=0.1, **more)
    plug = made(models, "decoder-only", store, method=method, training=training)
    fresh = {name: weight.clone() for name, weight in plug.named_parameters()}
    train(plug, examples, folder=tmp_path / "run")
    still = {name for name, weight in plug.named_parameters() if weight.numel() and torch.equal(weight, fresh[name])}
    assert not still
    again = PersonaPlug.from_pretrained(tmp_path / "run", store=store)
    torch.testing.assert_close(again.score(examples).log_likelihood, plug.score(examples).log_likelihood)
    card = (tmp_path / "run" / "README.md").read_text()
    assert f"`{WEIGHTS}` and `{ADAPTER}`" in card
    more = "" if method == "tuned-lora" else " and 2 more beside a persona"
    assert f"| adapter of all users | rank 2{more}, beside attention, reads answers |" in card
    assert ("| vectors before the input | none |" in card) is (method == "tuned-lora")


def test_gradients_are_the_same_when_activations_are_made_again(models, store, examples, tmp_path):
    both = []
    for checkpointing in (False, True):
        training = TrainingConfig(epochs=1.0, batch_size=2, gradient_checkpointing=checkpointing)
        plug = made(models, "decoder-only", store, training=training)
        train(plug, examples, folder=tmp_path / str(checkpointing))
        both.append(load_file(tmp_path / str(checkpointing) / ADAPTER))
    assert both[0].keys() == both[1].keys()
    for name, tensor in both[0].items():
        torch.testing.assert_close(tensor, both[1][name])


def test_a_run_without_its_adapters_file_is_refused(models, store, tmp_path):
    plug = made(models, "decoder-only", store)
    plug.save_pretrained(tmp_path)
    (tmp_path / ADAPTER).unlink()
    with pytest.raises(ConfigError, match=ADAPTER):
        PersonaPlug.from_pretrained(tmp_path, store=store)


@pytest.mark.parametrize("name", TUNED_LORA)
def test_a_tuned_lora_has_no_vectors_and_an_adapter_as_large_as_one_users(name):
    run = RunConfig(method=name)
    assert run.vectors == 0
    assert run.shared_adapter == SharedAdapterConfig(rank=LoraConfig().rank, alpha=LoraConfig().alpha)
    assert replace(run, adapter=SharedAdapterConfig(rank=0)).shared_adapter == run.shared_adapter


@pytest.mark.parametrize("method", [name for name, kind in METHOD_KINDS.items() if kind.has_persona])
def test_a_persona_has_an_adapter_beside_it_unless_none_is_wanted(method):
    assert RunConfig(method=method).shared_adapter == replace(SharedAdapterConfig(), rank=LoraConfig().rank)
    assert RunConfig(method=method, adapter=SharedAdapterConfig(rank=0)).shared_adapter is None
    assert RunConfig(method=method, adapter=SMALL).shared_adapter == SMALL


def test_a_tuned_prompt_has_one_only_where_it_is_asked_for():
    assert RunConfig(method="tuned-prompt").shared_adapter is None
    assert RunConfig(method="tuned-prompt", adapter=SMALL).shared_adapter == SMALL
    assert RunConfig(method="tuned-prompt").vectors == RunConfig().vectors > 0


def test_the_preset_of_the_paper_has_none():
    assert PRESETS["paper"].shared_adapter is None


@pytest.mark.parametrize("wrong", [{"rank": -2}, {"alpha": 0.0}, {"alpha": float("nan")}])
def test_a_size_that_cannot_be_is_refused(wrong):
    with pytest.raises(ValueError, match="rank"):
        SharedAdapterConfig(**wrong)
