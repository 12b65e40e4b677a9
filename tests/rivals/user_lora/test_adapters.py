"""Adapters on every family of language models, the joined one and one of numbered places too."""

from importlib.util import find_spec

import peft
import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from personaplug.backbone.base import GenerationConfig
from personaplug.backbone.beams import BeamSearch
from personaplug.errors import ConfigError, MissingExtraError
from personaplug.plug.adapter_config import SharedAdapterConfig
from personaplug.plug.shared_adapter import SharedAdapter
from personaplug.rivals.user_lora import adapters as lora
from personaplug.rivals.user_lora.adapters import LoraConfig, UserAdapters, attention_projections
from tests import tiny

MODELS = {
    **tiny.FAMILIES,
    "joined": tiny.joined_encoder_decoder,
    "absolute": tiny.absolute_decoder_only,
}
TEXTS = ("hello", "a longer text", "hello", "hello", "you")
USERS = ("ada", None, "ben", None, "ada")
GREEDY = GenerationConfig(max_new_tokens=8)
BEAMS = GenerationConfig("beam", beams=3, max_new_tokens=8)


@pytest.fixture(params=MODELS)
def backbone(request):
    return MODELS[request.param]()


@pytest.fixture
def adapters(backbone):
    return UserAdapters(backbone, LoraConfig(rank=2))


def some(adapters, *users, seed=0):
    """Make adapters that are unlike each other and unlike none."""
    draw = torch.Generator().manual_seed(seed)
    return {
        user: {name: tensor + torch.randn(tensor.shape, generator=draw) for name, tensor in adapters.start.items()}
        for user in users
    }


def answers(backbone, texts=TEXTS, config=GREEDY):
    return backbone.generate(backbone.embed(texts), config)


def scores(backbone, texts=TEXTS):
    with torch.inference_mode():
        return backbone.score(backbone.embed(texts), ["yes"] * len(texts)).log_likelihood


def test_the_language_model_is_the_bare_one_outside_and_with_an_untrained_adapter(backbone):
    bare = scores(backbone)
    adapters = UserAdapters(backbone, LoraConfig(rank=2))
    assert torch.equal(scores(backbone), bare)
    with adapters.answering(["ada"] * len(TEXTS), {"ada": adapters.start}):
        assert torch.equal(scores(backbone), bare)
    with adapters.answering(USERS, some(adapters, "ada", "ben")):
        assert not torch.equal(scores(backbone), bare)
    assert torch.equal(scores(backbone), bare)


@pytest.mark.parametrize("config", [GREEDY, BEAMS], ids=["greedy", "beam"])
def test_a_batch_of_many_users_is_answered_as_one_by_one(backbone, adapters, config):
    known = some(adapters, "ada", "ben")
    with adapters.answering(USERS, known):
        together = answers(backbone, config=config)
    for text, user, answer in zip(TEXTS, USERS, together, strict=True):
        with adapters.answering([user], known):
            assert answers(backbone, [text], config) == [answer]
    assert together[0] != together[2]


def test_a_batch_of_many_users_is_as_likely_as_one_by_one(backbone, adapters):
    known, bare = some(adapters, "ada", "ben"), scores(backbone)
    with adapters.answering(USERS, known):
        together = scores(backbone)
    for at, user in enumerate(USERS):
        with adapters.answering([user], known):
            torch.testing.assert_close(scores(backbone, TEXTS[at : at + 1])[0], together[at], atol=2e-3, rtol=1e-4)
    assert torch.allclose(together[[1, 3]], bare[[1, 3]], atol=2e-3)
    assert abs(together[0] - together[2]) > 0.1


def by_peft(backbone, adapters, users, known):
    """Score as PEFT's own mixed batch does: one adapter after another, each on its rows."""
    model, names = peft.PeftModel(backbone.model, adapters.settings), {user: f"of_{user}" for user in known}
    for user, name in names.items():
        model.add_adapter(name, adapters.settings)
        peft.set_peft_model_state_dict(model, known[user], adapter_name=name)

    def choose(_, inputs, options):
        copies = len(inputs[0]) // len(users)
        return inputs, options | {
            "adapter_names": [names.get(user, "__base__") for user in users for _ in range(copies)]
        }

    layers = [layer for layer in model.modules() if isinstance(layer, peft.tuners.lora.LoraLayer)]
    hooks = [layer.register_forward_pre_hook(choose, with_kwargs=True) for layer in layers]
    model.eval()
    model.base_model.enable_adapter_layers()
    found = scores(backbone), answers(backbone), answers(backbone, config=BEAMS)
    for hook in hooks:
        hook.remove()
    model.unload()
    return found


@pytest.mark.parametrize("users", [USERS, ("ada",) * 5, ("ben", "ada", None, "cyd", "ben")], ids=str)
@pytest.mark.parametrize("config", [LoraConfig(rank=2), LoraConfig(rank=3, alpha=5.0, places="query-value")], ids=repr)
def test_a_batch_is_answered_as_by_pefts_own_loop_over_adapters(backbone, config, users):
    adapters = UserAdapters(backbone, config)
    known = some(adapters, "ada", "ben", "cyd")
    with adapters.answering(users, known):
        ours = scores(backbone), answers(backbone), answers(backbone, config=BEAMS)
    theirs = by_peft(backbone, adapters, users, known)
    torch.testing.assert_close(ours[0], theirs[0], atol=2e-3, rtol=1e-4)
    assert ours[1:] == theirs[1:]


def test_in_half_precision_an_adapter_is_computed_in_float32_as_pefts_is():
    backbone = tiny.decoder_only()
    backbone.model.bfloat16()
    adapters = UserAdapters(backbone, LoraConfig(rank=2))
    known = some(adapters, "ada", "ben")
    with adapters.answering(USERS, known):
        ours = scores(backbone)
    torch.testing.assert_close(ours, by_peft(backbone, adapters, USERS, known)[0], atol=0.1, rtol=0.02)


class Counted(TorchDispatchMode):
    """Counts the operations on tensors."""

    count = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.count += 1
        return function(*args, **(kwargs or {}))


def test_five_users_take_as_many_operations_as_two(backbone, adapters):
    known, counts = some(adapters, *"abcde"), set()
    for users in ("ababa", "abcde"):
        with adapters.answering(users, known), Counted() as counted:
            scores(backbone)
        counts.add(counted.count)
    assert len(counts) == 1


def test_all_rows_of_one_user_share_one_copy_of_the_adapter(backbone, adapters):
    known = some(adapters, "ada", "ben")
    stacked, copies = adapters._stacked, set()
    adapters._stacked = lambda rows: copies.add(len(rows)) or stacked(rows)
    for users in (["ada"] * 5, USERS):
        with adapters.answering(users, known):
            scores(backbone)
    assert copies == {1, len(USERS)}


def test_a_place_forgets_the_user_before(backbone, adapters):
    first, then = some(adapters, "ada", seed=1), some(adapters, "ada", seed=2)
    seen = []
    for known in (first, then, first):
        with adapters.answering(["ada"] * len(TEXTS), known):
            seen.append(scores(backbone))
    assert torch.equal(seen[0], seen[2])
    assert not torch.allclose(seen[0], seen[1])


def test_training_moves_the_adapter_alone(backbone, adapters):
    before = {name: tensor.clone() for name, tensor in backbone.model.state_dict().items()}
    with adapters.training(adapters.start) as weights:
        optimizer = torch.optim.SGD(weights, lr=1.0)
        for _ in range(2):  # the first step moves the second matrix only: the first has no gradient while that is zero
            optimizer.zero_grad()
            backbone.loss(backbone.embed(TEXTS), ["yes"] * len(TEXTS)).backward()
            optimizer.step()
    after, trained = backbone.model.state_dict(), adapters.weights()
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())
    assert trained.keys() == adapters.start.keys()
    moved = {name for name, tensor in adapters.start.items() if not torch.equal(trained[name], tensor)}
    assert {kind for kind in ("lora_A", "lora_B") if any(kind in name for name in moved)} == {"lora_A", "lora_B"}
    assert len(moved) > len(trained) * 0.9
    assert not any(weight.requires_grad for weight in backbone.model.parameters())


def test_the_seed_alone_decides_what_an_adapter_starts_from():
    starts = []
    for seed, noise in ((0, 1), (0, 2), (1, 1)):
        torch.manual_seed(noise)
        starts.append(UserAdapters(tiny.decoder_only(), LoraConfig(), seed=seed).start)
    assert all(torch.equal(starts[0][name], starts[1][name]) for name in starts[0])
    assert not all(torch.equal(starts[0][name], starts[2][name]) for name in starts[0])


def test_making_adapters_leaves_the_other_draws_alone(backbone):
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    UserAdapters(backbone, LoraConfig())
    assert torch.equal(torch.rand(1), expected)


def test_a_saved_adapter_is_one_that_peft_itself_reads(backbone, adapters, tmp_path):
    import peft

    known = some(adapters, "ada")
    adapters.save(known["ada"], tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"adapter_model.safetensors", "adapter_config.json"}
    with adapters.answering(["ada"] * len(TEXTS), known):
        ours = scores(backbone)
    fresh = MODELS[next(name for name, make in MODELS.items() if type(make().model) is type(backbone.model))]()
    peft.PeftModel.from_pretrained(fresh.model, str(tmp_path))
    torch.testing.assert_close(scores(fresh), ours, atol=1e-3, rtol=1e-4)


@pytest.mark.parametrize(
    ("make", "names"),
    [
        (tiny.encoder_decoder, {"q", "k", "v", "o"}),
        (tiny.decoder_only, {"q_proj", "k_proj", "v_proj", "o_proj"}),
        (tiny.joined_encoder_decoder, {"query", "key", "value", "dense"}),
        (tiny.absolute_decoder_only, {"c_attn", "c_proj"}),
    ],
)
def test_adapters_stand_beside_the_linear_maps_of_the_attention(make, names):
    found = attention_projections(make().model)
    assert {name.rpartition(".")[2] for name in found} == names
    assert not any("mlp" in name or "DenseReluDense" in name or "intermediate" in name for name in found)


def test_a_model_without_attention_is_refused():
    model = tiny.decoder_only().model
    model.model.layers = nn.ModuleList()
    with pytest.raises(ConfigError, match="LlamaForCausalLM has no attention") as caught:
        attention_projections(model)
    assert "--backbone" in caught.value.hint


def test_an_adapter_of_another_size_is_refused(adapters):
    other = UserAdapters(tiny.encoder_decoder(), LoraConfig(rank=3))
    with pytest.raises(ConfigError, match="does not fit"), adapters.answering(["ada"], some(other, "ada")):
        pass


def test_without_peft_the_extra_is_named(monkeypatch):
    monkeypatch.setattr(lora, "find_spec", lambda name: None if name == "peft" else find_spec(name))
    with pytest.raises(MissingExtraError) as caught:
        UserAdapters(tiny.decoder_only(), LoraConfig())
    assert caught.value.hint == "pip install 'personaplug[lora]'"


@pytest.mark.parametrize("values", [{"rank": 0}, {"alpha": 0.0}])
def test_an_impossible_size_is_refused(values):
    with pytest.raises(ValueError, match="above zero"):
        LoraConfig(**values)


def merged(make, adapters, task, user, folder):
    """Have PEFT merge an adapter into a language model of its own, then put the user's over it, as OPPU does."""
    backbone = make()
    for name, weights in (("task", task), ("user", user)):
        (folder / name).mkdir()
        adapters.save(weights, folder / name)
    changed = peft.PeftModel.from_pretrained(backbone.model, folder / "task").merge_and_unload()
    backbone.model = peft.PeftModel.from_pretrained(changed, folder / "user").base_model.model
    return backbone


@pytest.mark.parametrize("config", [LoraConfig(rank=2), LoraConfig(rank=3, alpha=5.0, places="query-value")], ids=repr)
@pytest.mark.parametrize("name", MODELS)
def test_an_adapter_over_that_of_the_task_is_the_function_of_the_merged_model(name, config, tmp_path):
    backbone = MODELS[name]()
    before = {key: tensor.clone() for key, tensor in backbone.model.state_dict().items()}
    bare = scores(backbone)
    adapters = UserAdapters(backbone, config)
    known = some(adapters, "task", "ada", "ben")
    adapters.rest_on(known["task"])
    with adapters.answering(["ada"] * len(TEXTS), known):
        found = scores(backbone)
    wanted = scores(merged(MODELS[name], adapters, known["task"], known["ada"], tmp_path))
    torch.testing.assert_close(found, wanted, atol=2e-3, rtol=1e-4)
    assert (found - bare).abs().max() > 0.1
    with adapters.answering(["ada", "ben", "ada", "ben", "ben"], known):
        mixed = scores(backbone)
    torch.testing.assert_close(mixed[[0, 2]], found[[0, 2]], atol=2e-3, rtol=1e-4)
    assert (mixed - found).abs().max() > 0.1
    assert torch.equal(scores(backbone), bare)
    after = {key.replace(".base_layer", ""): tensor for key, tensor in backbone.model.state_dict().items()}
    assert all(torch.equal(after[key], tensor) for key, tensor in before.items())


def test_training_over_the_task_moves_the_users_adapter_alone_and_starts_from_the_tasks_answers(backbone):
    adapters = UserAdapters(backbone, LoraConfig(rank=2))
    task = some(adapters, "task")["task"]
    with adapters.answering(["all"] * len(TEXTS), {"all": task}):
        wanted = scores(backbone)
    adapters.rest_on(task)
    with adapters.answering(["new"] * len(TEXTS), {"new": adapters.start}):
        torch.testing.assert_close(scores(backbone), wanted, atol=2e-3, rtol=1e-4)
    before = {name: tensor.clone() for name, tensor in backbone.model.state_dict().items()}
    with adapters.training(adapters.start) as weights:
        assert len(weights) == len(adapters.start)
        optimizer = torch.optim.SGD(weights, lr=1.0)
        for _ in range(2):
            optimizer.zero_grad()
            backbone.loss(backbone.embed(TEXTS), ["yes and no"] * len(TEXTS)).backward()
            optimizer.step()
    after, trained = backbone.model.state_dict(), adapters.weights()
    assert after.keys() == before.keys()
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())
    still = [name for name, tensor in adapters.start.items() if "lora_B" in name and torch.equal(trained[name], tensor)]
    assert not still
    with adapters.answering(["all"] * len(TEXTS), {"all": adapters.start}):
        torch.testing.assert_close(scores(backbone), wanted, atol=2e-3, rtol=1e-4)


def test_dropout_leaves_a_part_out_in_training_alone_and_is_the_adapters_own(backbone):
    adapters = UserAdapters(backbone, LoraConfig(rank=2, dropout=0.5))
    known = some(adapters, "ada")
    with adapters.training(known["ada"]):
        assert not torch.equal(scores(backbone), scores(backbone))
        assert not backbone.model.training
    with adapters.training(adapters.start):  # whose second matrix is zero: any other dropout would show
        assert torch.equal(scores(backbone), scores(backbone))
    with adapters.answering(["ada"] * len(TEXTS), known):
        assert torch.equal(scores(backbone), scores(backbone))


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("encoder-decoder", {"q", "v"}),
        ("decoder-only", {"q_proj", "v_proj"}),
        ("joined", {"query", "value"}),
        ("absolute", {"c_attn"}),
    ],
)
def test_queries_and_values_are_found_in_every_family(name, parts):
    found = attention_projections(MODELS[name]().model, only="query-value")
    assert {full.rpartition(".")[2] for full in found} == parts


OF_ANSWERS = LoraConfig(rank=2, reads="answer")


def joined_scores(adapters, texts=TEXTS):
    with torch.inference_mode():
        inputs = adapters.joined(adapters.backbone.embed(texts))
        return adapters.backbone.score(inputs, ["yes"] * len(texts)).log_likelihood


def shared(backbone, weights):
    """Make the adapter of all users that reads answers out of one user's."""
    adapter = SharedAdapter(backbone.model, SharedAdapterConfig(rank=2), closing=backbone.closing_tokens)
    for name, first, second in zip(adapter.names, adapter.first, adapter.second, strict=True):
        first.data.copy_(weights[f"base_model.model.{name}.lora_A.weight"])
        second.data.copy_(weights[f"base_model.model.{name}.lora_B.weight"])
    return adapter


@pytest.mark.parametrize("config", [GREEDY, BEAMS], ids=["greedy", "beam"])
def test_one_that_reads_answers_is_the_function_of_the_adapter_of_all_users_that_does(backbone, config):
    adapters = UserAdapters(backbone, OF_ANSWERS)
    known = some(adapters, "ada", "ben")
    adapter = shared(backbone, known["ada"])
    inputs = adapter.joined(backbone.embed(TEXTS), backbone.model, is_behind=True)
    with torch.inference_mode():
        wanted = backbone.score(inputs, ["yes"] * len(TEXTS)).log_likelihood, backbone.generate(inputs, config)
    with adapters.answering(["ada", "ben", "ada", "ada", "ada"], known):
        found = joined_scores(adapters), backbone.generate(adapters.joined(backbone.embed(TEXTS)), config)
    own = [0, 2, 3, 4]
    torch.testing.assert_close(found[0][own], wanted[0][own], atol=2e-3, rtol=1e-4)
    assert [found[1][at] for at in own] == [wanted[1][at] for at in own]
    assert abs(found[0][1] - wanted[0][1]) > 0.1


@pytest.mark.parametrize("name", ["decoder-only", "absolute"])
def test_one_that_reads_answers_learns_as_the_adapter_of_all_users_does(name):
    backbone = MODELS[name]()
    adapters = UserAdapters(backbone, OF_ANSWERS)
    start = some(adapters, "ada")["ada"]
    adapter = shared(backbone, start)
    backbone.loss(
        adapter.joined(backbone.embed(TEXTS), backbone.model, is_behind=True), ["yes"] * len(TEXTS)
    ).backward()
    with adapters.training(start) as weights:
        backbone.loss(adapters.joined(backbone.embed(TEXTS)), ["yes"] * len(TEXTS)).backward()
        found = dict(zip(start, weights, strict=True))
    for each, first, second in zip(adapter.names, adapter.first, adapter.second, strict=True):
        for part, wanted in (("A", first), ("B", second)):
            gradient = found[f"base_model.model.{each}.lora_{part}.weight"].grad
            torch.testing.assert_close(gradient, wanted.grad, atol=1e-4, rtol=1e-3)


def test_what_is_read_ahead_of_answers_is_the_frozen_models(backbone):
    adapters = UserAdapters(backbone, OF_ANSWERS)
    inputs = adapters.joined(backbone.embed(TEXTS))
    bare = scores(backbone)
    with adapters.answering(USERS, some(adapters, "ada", "ben")):
        ahead = backbone.read_ahead(inputs)
        with torch.inference_mode():
            found = backbone.score(ahead, ["yes"] * len(TEXTS)).log_likelihood
        torch.testing.assert_close(found, joined_scores(adapters), atol=2e-3, rtol=1e-4)
        assert not torch.allclose(found[[0, 2, 4]], bare[[0, 2, 4]], atol=1e-2)
    torch.testing.assert_close(joined_scores(adapters), bare, atol=2e-3, rtol=1e-4)


def test_a_beam_search_from_which_rows_leave_is_not_for_adapters_of_rows(monkeypatch):
    backbone = tiny.encoder_decoder()
    backbone.model.generation_config.suppress_tokens = None
    adapters, ran = UserAdapters(backbone, LoraConfig(rank=2)), []
    monkeypatch.setattr(BeamSearch, "run", lambda self, *, most: ran.append(most) or [[0]] * len(self.queries))
    answers(backbone, config=BEAMS)
    assert ran
    with adapters.answering(USERS, some(adapters, "ada", "ben")):
        answers(backbone, config=BEAMS)
    answers(backbone, config=BEAMS)
    assert len(ran) == 2


def test_of_answers_an_encoder_knows_nothing():
    adapters = UserAdapters(tiny.encoder_decoder(), OF_ANSWERS)
    assert adapters.start
    assert not any("encoder." in name.replace("decoder.", "") for name in adapters.start)


def test_peft_leaves_nothing_in_the_language_model(backbone):
    before = [(name, type(module)) for name, module in backbone.model.named_modules()]
    held = {name: tensor.clone() for name, tensor in backbone.model.state_dict().items()}
    UserAdapters(backbone, LoraConfig(rank=2))
    assert [(name, type(module)) for name, module in backbone.model.named_modules()] == before
    assert all(torch.equal(backbone.model.state_dict()[name], tensor) for name, tensor in held.items())


def test_what_an_adapter_of_yesterday_was_made_of_is_written_as_ever():
    assert repr(LoraConfig()) == "LoraConfig(rank=8, alpha=16.0)"  # a hash of it tells whether to train anew
