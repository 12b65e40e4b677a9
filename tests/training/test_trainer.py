import json
import logging
import os
import sys
from dataclasses import replace
from itertools import count
from shutil import copytree
from time import sleep

import pytest
import torch
from safetensors.torch import load_file

from personaplug.backbone.base import GenerationConfig
from personaplug.config import read_toml, write_toml
from personaplug.embedder.embedder_config import OURS, PAPER, EmbedderConfig
from personaplug.errors import ConfigError
from personaplug.plug.adapter_config import SharedAdapterConfig
from personaplug.plug.model import PersonaPlug
from personaplug.plug.run import PRESETS, RunConfig, TrainingConfig
from personaplug.training.checkpoints import CHECKPOINTS, is_finished, starting_point
from personaplug.training.inputs_once import read_inputs
from personaplug.training.plug_trainer import PlugTrainer
from personaplug.training.progress import Fitted
from personaplug.training.trainer import _finish, train
from tests.processes import kill_itself
from tests.training.fit import INTERRUPTED, build, fit, fit_until
from tests.world import make_examples

SHORT = TrainingConfig(batch_size=5, epochs=3.0, learning_rate=3e-2, vector_learning_rate=0.3)
ACCUMULATING = replace(SHORT, batch_size=3, gradient_accumulation=2, evaluate_every=4)
"""15 steps that log two lines and save at 4, 8, 12 and 15, then log a last line; an epoch is 5."""

VOLATILE = ("runtime", "per_second", "total_flos")


FITTED = Fitted(steps=5, dev_loss=1.0, seconds=1.0)
CHANGES = {"os.mkdir", "os.rename", "os.remove", "os.rmdir"}
"""Python's own names of what changes a folder."""


class Interruption(BaseException):
    """Ends training as abruptly as a signal, without ending the test."""


def interrupting(*, line):
    """Interrupt training when it has logged so many lines."""
    told = count(1)

    def interrupt(_):
        if next(told) == line:
            raise Interruption

    return interrupt


def logged(folder):
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if not key.endswith(VOLATILE)} for line in lines]


def weights(folder):
    return load_file(folder / "model.safetensors")


def are_equal(these, those):
    return these.keys() == those.keys() and all(torch.equal(tensor, those[name]) for name, tensor in these.items())


def copied(module):
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


METHODS = {
    "default": ("encoder-decoder", {}),
    "paper": ("decoder-only", {"embedder": PAPER}),
    "mixed": ("decoder-only", {"method": "plug+dense"}),
    "outputs": ("decoder-only", {"embedder": EmbedderConfig(made_of="outputs", place="after")}),
    "quotes": ("decoder-only", {"embedder": EmbedderConfig(made_of="quotes", place="inside")}),
}


@pytest.fixture(scope="module", params=list(METHODS))
def fresh(models, store, request):
    """Make a fresh plug, by either method, each with a family of its own."""
    family, parts = METHODS[request.param]
    return lambda training: build(models, family, store, training, **parts)


@pytest.mark.parametrize("has_dev", [True, False])
def test_a_few_steps_lower_the_loss_and_what_is_left_in_memory_answers_as_what_is_left_on_disk(
    fresh, store, has_dev, tmp_path
):
    plug = fresh(SHORT)
    examples, config = make_examples(store, each=5), GenerationConfig(max_new_tokens=8)
    before = plug.eval().score(examples).log_likelihood.mean()
    fitted = fit(plug, tmp_path / "run", has_dev=has_dev)
    assert fitted.steps == 15
    after = plug.score(examples).log_likelihood
    assert after.mean() > before + 0.5
    loaded = PersonaPlug.from_pretrained(tmp_path / "run", store=store)
    assert are_equal(plug.prefix.state_dict(), weights(tmp_path / "run"))
    torch.testing.assert_close(loaded.score(examples).log_likelihood, after)
    assert loaded.respond(examples[::5], config) == plug.respond(examples[::5], config)


def test_the_seconds_of_a_training_hold_those_of_encoding_its_queries(models, store, tmp_path):
    plug = build(models, "decoder-only", store, replace(SHORT, epochs=1.0))
    fitted = fit(plug, tmp_path / "run", on_encoded=lambda *_: sleep(0.5))
    steps = json.loads((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()[-1])["train_runtime"]
    assert fitted.seconds > steps + 0.5


def test_what_is_frozen_keeps_every_bit_and_every_trained_weight_moves(models, family, store, tmp_path):
    plug = build(models, family, store, SHORT)
    encoder = plug.batcher.query_vectors.encoder
    frozen = copied(plug.backbone.model), copied(encoder)
    trained = {name: weight.detach().clone() for name, weight in plug.named_parameters()}
    fit(plug, tmp_path / "run")
    assert are_equal(frozen[0], plug.backbone.model.state_dict())
    assert are_equal(frozen[1], encoder.state_dict())
    assert all(weight.isfinite().all() for weight in plug.parameters())
    assert not [name for name, weight in plug.named_parameters() if torch.equal(weight, trained[name])]


def test_the_run_folder_holds_words_and_no_pickle_and_weights_to_answer_with_only_when_it_is_done(
    models, store, tmp_path
):
    run, seen = tmp_path / "run", []
    plug = build(models, "decoder-only", store, SHORT)
    fit(plug, run, on_progress=lambda _: seen.append((run / "model.safetensors").exists()))
    assert set(seen) == {False}
    names = sorted(path.name for path in run.iterdir())
    assert names == ["README.md", "config.toml", "metrics.jsonl", "model.safetensors", "task.toml"]


def test_the_loss_on_dev_is_that_of_an_answer_token_however_dev_is_cut_into_batches(models, family, store, tmp_path):
    examples = make_examples(store, each=2)
    dev = [replace(example, target="no" * (9 - at)) for at, example in enumerate(examples[:7])]
    plug = build(models, family, store, replace(SHORT, batch_size=3, epochs=1.0))
    fitted = train(plug, examples, dev=dev, folder=tmp_path / "run")
    scores = plug.score(dev)
    assert fitted.dev_loss == pytest.approx(float(-scores.log_likelihood.sum() / scores.tokens.sum()), abs=1e-4)


OVERSHOOTING = replace(
    SHORT, learning_rate=10.0, vector_learning_rate=30.0, warmup=1.0, epochs=6.0, evaluate_every=4, without_history=0.0
)
"""The rates rise to the end, and the loss is best long before."""


def test_the_weights_kept_are_those_that_were_best_on_dev_also_in_a_run_that_was_moved(models, store, tmp_path):
    plug = build(models, "decoder-only", store, OVERSHOOTING)
    fitted = fit(plug, tmp_path / "whole")
    lines = logged(tmp_path / "whole")
    looks = [line["eval_loss"] for line in lines if "eval_loss" in line]
    assert fitted.dev_loss == min(looks) < looks[-1]
    scores = plug.score(make_examples(store, each=5)[::5])
    assert float(-scores.log_likelihood.sum() / scores.tokens.sum()) == pytest.approx(fitted.dev_loss, abs=1e-4)
    cut = interrupting(line=len(lines))
    with pytest.raises(Interruption):
        fit(build(models, "decoder-only", store, OVERSHOOTING), tmp_path / "run", on_progress=cut)
    moved = (tmp_path / "run").rename(tmp_path / "moved")
    fit(build(models, "decoder-only", store, OVERSHOOTING), moved, resume=True)
    assert are_equal(weights(moved), weights(tmp_path / "whole"))


@pytest.mark.parametrize("share", [0.0, 0.5])
def test_what_a_user_without_a_history_gets_is_trained_where_some_draws_see_none(models, store, tmp_path, share):
    """Each output has a first token, so nothing else trains what stands in its place; weights decay all the same."""
    training = replace(SHORT, without_history=share)
    plug = build(models, "decoder-only", store, training, embedder=replace(OURS, nobody="trained", with_mean=False))
    first = plug.prefix.embedder.generic.vectors[0].detach().clone()
    train(plug, [each for each in make_examples(store, each=5) if each.profile.items], folder=tmp_path / "run")
    alike = torch.cosine_similarity(plug.prefix.embedder.generic.vectors[0], first, dim=0)
    assert bool(alike > 1 - 1e-5) is (share == 0)


def test_the_control_of_the_paper_preset_moves_as_far_as_the_default_s(models, store, tmp_path):
    for name, preset in PRESETS.items():
        training = replace(preset.training, batch_size=5, epochs=1.0, backbone_dropout=False)
        fit(build(models, "decoder-only", store, training, method="tuned-prompt"), tmp_path / name)
    assert are_equal(*(weights(tmp_path / name) for name in PRESETS))


def test_plug_and_tuned_prompt_of_one_seed_begin_as_the_same_vectors(models, store):
    plug, tuned = (build(models, "decoder-only", store, SHORT, method=name) for name in ("plug", "tuned-prompt"))
    users = make_examples(store, each=1)
    assert torch.equal(plug.prefix(plug.batcher(users)), tuned.prefix(tuned.batcher(users)))


def test_one_seed_gives_the_same_run_and_another_seed_another(fresh, tmp_path):
    for folder, seed in (("first", 0), ("again", 0), ("other", 1)):
        fit(fresh(replace(SHORT, epochs=1.0, seed=seed)), tmp_path / folder)
    assert are_equal(weights(tmp_path / "first"), weights(tmp_path / "again"))
    assert not are_equal(weights(tmp_path / "first"), weights(tmp_path / "other"))
    assert logged(tmp_path / "first") == logged(tmp_path / "again")


def test_a_run_killed_in_the_middle_and_resumed_equals_one_that_was_not(models, store, tmp_path):
    kill_itself(fit_until, 36, models, store.path, tmp_path / "killed")
    assert [path.name for path in (tmp_path / "killed" / CHECKPOINTS).iterdir()] == ["checkpoint-18"]
    assert logged(tmp_path / "killed")[-1]["step"] == 36
    for name, resume in (("killed", True), ("whole", False)):
        fit(build(models, "decoder-only", store, INTERRUPTED), tmp_path / name, resume=resume)
    assert are_equal(weights(tmp_path / "killed"), weights(tmp_path / "whole"))
    assert logged(tmp_path / "killed") == logged(tmp_path / "whole")
    lines = [(line["step"], tuple(line)) for line in logged(tmp_path / "whole")]
    assert len(set(lines)) == len(lines)


def test_wherever_a_run_is_interrupted_it_goes_on_to_the_same_numbers(fresh, tmp_path):
    """A run interrupted before its first checkpoint, between two and after its last equals one that was not."""
    fit(fresh(ACCUMULATING), tmp_path / "whole")
    for line, resume in ((1, False), (5, True), (5, True)):  # five lines go on from the second checkpoint to the end
        with pytest.raises(Interruption):
            fit(fresh(ACCUMULATING), tmp_path / "cut", resume=resume, on_progress=interrupting(line=line))
    fit(fresh(ACCUMULATING), tmp_path / "cut", resume=True)
    assert are_equal(weights(tmp_path / "cut"), weights(tmp_path / "whole"))
    assert logged(tmp_path / "cut") == logged(tmp_path / "whole")


AFTER = EmbedderConfig(place="after")


def test_in_bfloat16_too_an_interrupted_run_goes_on_to_the_same_numbers_and_its_card_says_what_was_kept(
    models, store, tmp_path
):
    def make():
        return build(models, "decoder-only", store, ACCUMULATING, embedder=AFTER, precision="bfloat16")

    whole = make()
    fitted = fit(whole, tmp_path / "whole")
    assert (fitted.precision, whole.backbone.dtype, whole.backbone.kept) == ("bfloat16", torch.float32, None)
    with pytest.raises(Interruption):
        fit(make(), tmp_path / "cut", on_progress=interrupting(line=5))
    fit(make(), tmp_path / "cut", resume=True)
    assert are_equal(weights(tmp_path / "cut"), weights(tmp_path / "whole"))
    card = (tmp_path / "cut" / "README.md").read_text()
    assert "the language model in bfloat16 |" in card
    assert fitted.inputs_read.found == 25 * ACCUMULATING.epochs
    assert f"| inputs read once, before the steps | {fitted.inputs_read.inputs} of 25 queries, " in card


@pytest.mark.parametrize(("held", "goes_on"), [("bfloat16", "bfloat16"), ("float32", "float32"), ("auto", "float32")])
def test_a_resumed_run_goes_on_in_the_precision_it_has_begun_in(held, goes_on, models, store, tmp_path):
    def make(precision):
        return build(models, "decoder-only", store, ACCUMULATING, embedder=AFTER, precision=precision)

    with pytest.raises(Interruption):
        fit(make("float32" if held == "auto" else held), tmp_path / "cut", on_progress=interrupting(line=5))
    config = tmp_path / "cut" / "config.toml"
    run = read_toml(RunConfig, config)
    write_toml(replace(run, training=replace(run.training, precision=held)), config)
    fitted = fit(make("auto"), tmp_path / "cut", resume=True)
    assert fitted.precision == goes_on
    assert read_toml(RunConfig, config).training.precision == goes_on


@pytest.mark.parametrize("place", ["inside", "after"])
@pytest.mark.parametrize("rank", [0, 2])
def test_inputs_that_are_kept_change_a_training_by_roundings_alone(place, rank, models, store, tmp_path):
    kept, parts = {}, {"embedder": replace(AFTER, place=place), "adapter": SharedAdapterConfig(rank=rank)}
    for megabytes in (0, 1):
        plug = build(models, "decoder-only", store, replace(SHORT, kept_megabytes=megabytes), **parts)
        kept[megabytes] = fit(plug, tmp_path / str(megabytes)).inputs_read
    assert kept[0].inputs == 0 < kept[1].inputs <= kept[1].queries == 25
    assert (kept[0].found, kept[1].found) == (0, 25 * SHORT.epochs)
    plain, once = (weights(tmp_path / name) for name in ("0", "1"))
    assert all(torch.allclose(tensor, once[name], atol=1e-3) for name, tensor in plain.items())


def test_what_one_training_has_read_another_finds_and_comes_to_the_numbers_of_its_own_reading(models, store, tmp_path):
    shared, config = tmp_path / "shared", replace(SHORT, epochs=1.0)

    def trained(name, *, seed=0, **options):
        plug = build(models, "decoder-only", store, replace(config, seed=seed), embedder=AFTER)
        return fit(plug, tmp_path / name, **options)

    first, again = (trained(name, shared_inputs=shared) for name in ("first", "again"))
    other = trained("other", seed=1, shared_inputs=shared)
    assert [each.inputs_read.was_read_before for each in (first, again, other)] == [False, True, True]
    assert [each.inputs_read.found for each in (first, again, other)] == [25] * 3
    assert are_equal(weights(tmp_path / "first"), weights(tmp_path / "again"))
    assert again.seconds > again.inputs_read.seconds == first.inputs_read.seconds > 0
    assert "read by a training before this one" in (tmp_path / "again" / "README.md").read_text()
    assert len(list(shared.iterdir())) == 1
    assert shared.stat().st_mode & 0o077 == 0

    alone = trained("alone")
    assert alone.inputs_read.inputs == 0
    assert all(
        torch.allclose(tensor, weights(tmp_path / "first")[name], atol=1e-3)
        for name, tensor in weights(tmp_path / "alone").items()
    )


CHANGING = {
    "before": ({}, {}),
    "one epoch": ({"epochs": 1.0}, {"embedder": AFTER}),
    "items": ({}, {"embedder": AFTER, "method": "plug+bm25"}),
    "dropout": ({"backbone_dropout": True}, {"embedder": AFTER}),
    "adapter": ({}, {"embedder": AFTER, "adapter": SharedAdapterConfig(rank=2, reads="all")}),
    "recomputed": ({"gradient_checkpointing": True}, {"embedder": AFTER}),
}


@pytest.mark.parametrize(("training", "parts"), CHANGING.values(), ids=CHANGING)
def test_an_input_that_is_seen_once_or_changes_between_draws_is_not_kept(training, parts, models, store, tmp_path):
    plug = build(models, "decoder-only", store, replace(SHORT, **training), **parts)
    shared = None if training == {"epochs": 1.0} else tmp_path
    assert read_inputs(plug, make_examples(store, each=2), through=plug.backbone, shared=shared).inputs == 0
    assert plug.backbone.kept is None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("last_act", ["write_card", "write_weights", "discard_checkpoints"])
def test_a_run_killed_after_its_last_step_is_resumed_to_its_card_and_weights(
    last_act, models, store, tmp_path, monkeypatch
):
    def kill(*_, **__):
        raise Interruption

    with monkeypatch.context() as patch:
        patch.setattr(f"personaplug.training.trainer.{last_act}", kill)
        with pytest.raises(Interruption):
            fit(build(models, "decoder-only", store, SHORT), tmp_path / "run")
    had_card, had_weights = ((tmp_path / "run" / name).exists() for name in ("README.md", "model.safetensors"))
    assert had_card >= had_weights
    fitted = fit(build(models, "decoder-only", store, SHORT), tmp_path / "run", resume=True)
    assert {path.name for path in (tmp_path / "run").iterdir()} >= {"README.md", "model.safetensors"}
    assert "| steps | 15 of 5 queries" in (tmp_path / "run" / "README.md").read_text()
    assert f"{fitted.dev_loss:.4f} nats" in (tmp_path / "run" / "README.md").read_text()


def test_a_run_killed_at_any_file_it_ends_with_is_ended_by_the_next_command_and_nothing_is_left(
    models, store, tmp_path, monkeypatch
):
    """Each kill is at another of the files that ending a run opens, renames and removes."""
    plug = build(models, "decoder-only", store, replace(SHORT, epochs=1.0))
    with monkeypatch.context() as patch:
        patch.setattr("personaplug.training.trainer._finish", lambda *_, **options: options)
        fit(plug, tmp_path / "run")
    whole = {"README.md", "config.toml", "metrics.jsonl", "model.safetensors", "task.toml"}
    for operation in count():
        run = copytree(tmp_path / "run", tmp_path / f"killed-{operation}")
        is_killed = not ended_by(operation, lambda run=run: _finish(plug, FITTED, folder=run, queries=25))
        if is_finished(run):
            with pytest.raises(ConfigError, match="is finished"):
                starting_point(run, resume=True)
        else:
            assert starting_point(run, resume=True) is not None
            _finish(plug, FITTED, folder=run, queries=25)
        assert {path.name for path in run.iterdir()} == whole
        assert are_equal(weights(run), plug.prefix.state_dict())
        if not is_killed:
            break
    assert operation > 15


def ended_by(operation, work):
    """Do some work in a process that is killed at the file of this number; tell whether it came to its end before."""
    child = os.fork()
    if child == 0:
        done = count()

        def watch(event, arguments):
            is_written = event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)
            if (is_written or event in CHANGES) and next(done) == operation:
                os._exit(9)

        sys.addaudithook(watch)
        try:
            work()
        finally:
            os._exit(0 if sys.exc_info()[0] is None else 1)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) in (0, 9)
    return os.waitstatus_to_exitcode(status) == 0


def test_a_finished_run_is_neither_resumed_nor_overwritten(models, store, tmp_path):
    fit(build(models, "decoder-only", store, replace(SHORT, epochs=1.0)), tmp_path / "run")
    kept = weights(tmp_path / "run")
    for resume, message in ((True, "is finished"), (False, "already holds a run")):
        with pytest.raises(ConfigError, match=message):
            fit(build(models, "decoder-only", store, SHORT), tmp_path / "run", resume=resume)
    assert are_equal(kept, weights(tmp_path / "run"))


def test_training_stops_when_dev_no_longer_gains_also_over_an_interruption(models, store, tmp_path):
    training = replace(SHORT, learning_rate=0.3, vector_learning_rate=3.0, epochs=20.0, evaluate_every=4, patience=2)
    whole = fit(build(models, "decoder-only", store, training), tmp_path / "whole")
    lines = logged(tmp_path / "whole")
    looks = [line["eval_loss"] for line in lines if "eval_loss" in line]
    assert whole.steps < 100
    assert looks.index(min(looks)) == len(looks) - 3
    cut = interrupting(line=[line["step"] for line in lines].index(whole.steps) + 1)
    with pytest.raises(Interruption):
        fit(build(models, "decoder-only", store, training), tmp_path / "cut", on_progress=cut)
    assert fit(build(models, "decoder-only", store, training), tmp_path / "cut", resume=True).steps == whole.steps
    assert logged(tmp_path / "cut") == lines


def test_gradient_checkpointing_changes_no_number(models, family, store, tmp_path):
    for name in ("plain", "recomputed"):
        training = replace(SHORT, epochs=1.0, gradient_checkpointing=name == "recomputed")
        fit(build(models, family, store, training), tmp_path / name)
    plain, recomputed = (weights(tmp_path / name) for name in ("plain", "recomputed"))
    assert all(torch.allclose(tensor, recomputed[name], atol=1e-4) for name, tensor in plain.items())


def test_a_trained_query_encoder_learns_at_a_rate_of_its_own(models, store, tmp_path):
    training = replace(SHORT, epochs=1.0, encoder_learning_rate=0.0)
    plug = build(models, "decoder-only", store, training, embedder=PAPER)
    encoder, projector = copied(plug.prefix.query_encoder), copied(plug.prefix.embedder.projector)
    fit(plug, tmp_path / "run")
    assert are_equal(encoder, plug.prefix.query_encoder.state_dict())
    assert not are_equal(projector, plug.prefix.embedder.projector.state_dict())


def test_directly_trained_vectors_learn_at_a_rate_of_their_own(models, store, tmp_path):
    plug = build(models, "decoder-only", store, replace(SHORT, epochs=1.0, vector_learning_rate=1e-30))
    vectors, projector = copied(plug.prefix.embedder.instruction), copied(plug.prefix.embedder.projector)
    fit(plug, tmp_path / "run")
    assert are_equal(vectors, plug.prefix.embedder.instruction.state_dict())
    assert not are_equal(projector, plug.prefix.embedder.projector.state_dict())


def test_progress_is_told_and_nothing_is_printed_nor_any_users_text_logged(models, store, tmp_path, capsys, caplog):
    told = []
    with caplog.at_level(logging.DEBUG):
        fit(build(models, "decoder-only", store, SHORT), tmp_path / "run", on_progress=told.append)
    assert [progress.step for progress in told] == sorted(progress.step for progress in told)
    assert (told[-1].step, told[-1].steps) == (15, 15)
    assert None not in (told[-1].loss, told[-1].dev_loss)
    assert capsys.readouterr().out == ""
    assert "view about" not in caplog.text + (tmp_path / "run" / "metrics.jsonl").read_text()


def test_there_must_be_something_to_train_on(models, store, tmp_path):
    with pytest.raises(ConfigError, match="no query to train on") as caught:
        train(build(models, "decoder-only", store, SHORT), [], folder=tmp_path / "run")
    assert caught.value.hint
    assert not (tmp_path / "run").exists()


DROPPING = replace(SHORT, batch_size=3, gradient_accumulation=2, evaluate_every=4, epochs=2.0, encoder_dropout=True)


@pytest.mark.parametrize("recomputes", [False, True])
def test_dropout_changes_what_is_learned_and_no_frozen_bit_and_a_resumed_run_draws_the_same(
    recomputes, models, store, tmp_path
):
    training = replace(DROPPING, backbone_dropout=True, gradient_checkpointing=recomputes)
    for name, config in (("dry", replace(DROPPING, encoder_dropout=False)), ("whole", training)):
        plug = build(models, "encoder-decoder", store, config, embedder=PAPER)
        frozen = copied(plug.backbone.model)
        fit(plug, tmp_path / name)
        assert are_equal(frozen, plug.backbone.model.state_dict())
        assert not any(module.training for module in plug.backbone.model.modules())
    with pytest.raises(Interruption):
        fit(
            build(models, "encoder-decoder", store, training, embedder=PAPER),
            tmp_path / "cut",
            on_progress=interrupting(line=5),
        )
    fit(build(models, "encoder-decoder", store, training, embedder=PAPER), tmp_path / "cut", resume=True)
    assert are_equal(weights(tmp_path / "cut"), weights(tmp_path / "whole"))
    assert logged(tmp_path / "cut") == logged(tmp_path / "whole")
    assert not are_equal(weights(tmp_path / "dry"), weights(tmp_path / "whole"))


def test_where_not_all_decay_biases_and_norms_alone_are_spared(models, store, tmp_path):
    plug = build(models, "decoder-only", store, replace(SHORT, decays_all=False), embedder=PAPER)
    trainer = PlugTrainer(plug, make_examples(store), dev=(), folder=tmp_path, on_progress=None)
    decays = {
        id(weight): group["weight_decay"]
        for group in trainer.create_optimizer().param_groups
        for weight in group["params"]
    }
    names = {name: decays[id(weight)] for name, weight in plug.named_parameters()}
    spared = {name for name, decay in names.items() if decay == 0}
    assert {decay for name, decay in names.items() if name not in spared} == {SHORT.weight_decay}
    assert spared == {name for name in names if name.endswith("bias") or "LayerNorm" in name}
    assert len(spared) < len(names)


def test_a_query_is_read_as_far_as_the_language_model_reads_the_input(models, store):
    long = replace(make_examples(store)[1], input="about " + "x" * 100)
    for cuts, length in ((True, 40 - 2 - len("about ")), (False, 100)):
        training = replace(SHORT, max_input_tokens=40, cuts_queries=cuts)
        (query,) = build(models, "decoder-only", store, training, embedder=PAPER).batcher([long]).queries
        assert len(query) == length


@pytest.mark.parametrize("kind", ["loss", "weights"])
def test_training_that_comes_to_no_number_is_stopped_before_anything_is_saved(
    kind, models, store, tmp_path, monkeypatch
):
    plug = build(models, "decoder-only", store, replace(SHORT, evaluate_every=3))
    taken, whole = count(1), plug.backbone.loss

    def diverging(*arguments, **options):
        """Lose the loss in the third step; or only its gradients, so that it shows in the weights."""
        loss = whole(*arguments, **options)
        if next(taken) != 3:
            return loss
        if kind == "weights":
            loss.register_hook(lambda gradient: gradient * float("nan"))
        return loss if kind == "weights" else loss * float("nan")

    monkeypatch.setattr(plug.backbone, "loss", diverging)
    with pytest.raises(
        ConfigError, match="the loss of step 3 is nan" if kind == "loss" else "NaN or infinite"
    ) as caught:
        fit(plug, tmp_path / "run", has_dev=False)
    assert "learning rates" in caught.value.hint
    assert not list((tmp_path / "run").rglob("*.safetensors"))
