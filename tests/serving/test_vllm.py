"""``--engine vllm`` in front of a server that speaks vLLM's protocol."""

import asyncio
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import httpx2
import openai
import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file, save_file

from personaplug.backbone.base import GenerationConfig
from personaplug.backbone.embedding_table import load_writer_of_inputs
from personaplug.backbone.loading import BackboneConfig, load_backbone
from personaplug.cli.main import cli
from personaplug.config import read_toml
from personaplug.errors import ConfigError
from personaplug.plug.adapter_export import RunLora
from personaplug.plug.run import RunConfig
from personaplug.serving.api.access import OpenAccess
from personaplug.serving.api.service import Service
from personaplug.serving.engine.engine import EngineConfig, FullQueueError
from personaplug.serving.engine.request import EngineRequest
from personaplug.serving.engine.vllm_client import KEY_VARIABLE, Upstream
from personaplug.serving.engine.vllm_loras import with_loras
from tests import tiny
from tests.serving.running import LIMITS, running, wait_for
from tests.serving.vllm_server import decode, vllm_like

NAME = "tiny/llama"
DECODERS = ("llama", "again", "tuned", "lora", "copying")
TEXT = "about x, in the user's own words"
MIXED = [("llama", "ada"), ("again", "dee"), ("llama", "nobody"), ("tuned", "cyd"), ("lora", "dee"), ("lora", "nobody")]


@pytest.fixture(scope="module")
def llama(place):
    """The folder of the language model."""
    return read_toml(RunConfig, place.runs["llama"] / "config.toml").backbone.model


@pytest.fixture(scope="module")
def fake(llama):
    """The server in the back."""
    with vllm_like(llama, name=NAME, key="secret") as fake:
        yield fake


@pytest.fixture(scope="module", autouse=True)
def key():
    """The key that the server in the back asks for."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(KEY_VARIABLE, "secret")
        yield


@pytest.fixture(scope="module")
def front(place, fake, tmp_path_factory):
    """The server in front of it."""
    runs = {name: place.runs[name] for name in DECODERS}
    folder = tmp_path_factory.mktemp("vllm")
    behind = replace(place, runs=runs, vllm=fake.url, adapters=folder / "adapters")
    with running(behind, folder) as front:
        yield front


@pytest.fixture(scope="module")
def client(front):
    with front.client() as client:
        yield client


@pytest.fixture(autouse=True)
def well(fake):
    """Let each test begin with a server that does nothing wrong."""
    fake.do_well()


def ask(client, model, user, **more):
    """Ask as any client does; give the answer and the response's headers."""
    extra = {"extra_body": {"persona": "off"}} if more.pop("is_off", False) else {}
    raw = client.completions.with_raw_response.create(
        model=model, prompt=TEXT, user=user, max_tokens=more.pop("max_tokens", 12), **more, **extra
    )
    return raw.parse(), raw.headers


OFF = [("llama", "ada", True), ("lora", "dee", True)]


@pytest.mark.parametrize(("model", "user", "is_off"), [*((*each, False) for each in MIXED), *OFF])
def test_an_answer_by_way_of_the_other_server_is_the_one_given_here(client, server, model, user, is_off):
    relayed, headers = ask(client, model, user, is_off=is_off)
    with server.client() as here:
        local, expected = ask(here, model, user, is_off=is_off)
    assert relayed.choices[0].text == local.choices[0].text
    assert relayed.choices[0].finish_reason == local.choices[0].finish_reason
    assert relayed.usage.prompt_tokens == local.usage.prompt_tokens
    assert headers["x-personaplug-persona"] == expected["x-personaplug-persona"]


def test_a_chat_is_relayed_too(client, server):
    words = {"model": "llama", "user": "dee", "max_tokens": 12, "messages": [{"role": "user", "content": TEXT}]}
    with server.client() as here:
        expected = here.chat.completions.create(**words).choices[0].message.content
    assert client.chat.completions.create(**words).choices[0].message.content == expected
    pieces = [event.choices[0].delta.content or "" for event in client.chat.completions.create(**words, stream=True)]
    assert "".join(pieces) == expected
    assert len(pieces) > 3


def test_what_is_sent_is_the_input_in_embeddings_and_no_word_of_the_user(client, fake, server):
    ask(client, "llama", "dee")
    (body,) = fake.bodies
    expected = server.ask_plug("llama", lambda plug: plug.embedded([plug.example(TEXT, user="dee")]).rows[0])
    sent = decode(body.pop("prompt_embeds"), width=expected.shape[1])
    assert torch.allclose(sent, expected, atol=1e-5)
    assert not {"prompt", "user", "messages"} & set(body)
    assert re.fullmatch("[0-9a-f]{64}", body.pop("cache_salt"))  # a hash, in which any three letters may stand
    assert "dee" not in str(body)
    greedy = {"temperature": 0.0, "top_p": 1.0, "top_k": -1, "min_p": 0.0, "repetition_penalty": 1.0}
    assert greedy.items() <= body.items()


def test_each_persona_has_a_salt_of_its_own(client, fake):
    for user in ("ada", "dee", "ada", "nobody"):
        ask(client, "llama", user)
    ask(client, "llama", "ada", is_off=True)
    ada, dee, again, nobody, off = (body["cache_salt"] for body in fake.bodies)
    assert ada == again
    assert len({ada, dee, nobody, off}) == 4
    assert all(len(salt) == 64 for salt in (ada, dee, nobody, off))


def test_draws_and_stops_are_passed_on(client, fake):
    answer, _ = ask(client, "llama", "dee", temperature=0.7, top_p=0.9, seed=11)
    wanted = {"temperature": 0.7, "top_p": 0.9, "seed": 11, "max_tokens": 12, "stop": []}
    assert wanted.items() <= fake.bodies[0].items()
    stop = answer.choices[0].text[3:5]
    stopped, _ = ask(client, "llama", "dee", stop=stop)
    assert stop not in stopped.choices[0].text
    assert stopped.choices[0].finish_reason == "stop"


def test_no_layer_of_the_language_model_is_loaded(front, server):
    def held(plug):
        return sum(each.numel() for each in plug.backbone.model.parameters() if not each.is_meta)

    table = server.ask_plug("llama", lambda plug: plug.backbone.model.get_input_embeddings().weight.numel())
    assert front.ask_plug("llama", held) == table < server.ask_plug("llama", held)


@pytest.mark.parametrize("use_chat_template", [False, True])
def test_inputs_are_written_as_the_whole_model_would(tmp_path, use_chat_template):
    config = BackboneConfig(tiny.save_model(tiny.decoder_only(use_chat_template=use_chat_template), tmp_path))
    whole, table = load_backbone(config), load_writer_of_inputs(config)
    texts = ["about x", "", "</s> 🙂 " * 9]
    for limit in (7, 256):
        expected, found = whole.embed(texts, max_tokens=limit), table.embed(texts, max_tokens=limit)
        assert torch.equal(expected.embeds, found.embeds)
        assert torch.equal(expected.mask, found.mask)
        assert expected.lead == found.lead
    assert table.embedding_norm == whole.embedding_norm


def test_the_other_servers_room_bounds_the_answers(llama):
    assert load_writer_of_inputs(BackboneConfig(llama), positions=100).longest_answer(input_tokens=60) == 40
    assert load_writer_of_inputs(BackboneConfig(llama), positions=9_999).longest_answer(input_tokens=60) == 512 - 60


@pytest.mark.parametrize("shards", [1, 3])
@pytest.mark.parametrize("has_bare_names", [False, True])
def test_a_table_is_found_in_shards_and_under_the_names_of_older_checkpoints(tmp_path, shards, has_bare_names):
    backbone = tiny.decoder_only()
    folder = tiny.save_model(backbone, tmp_path / "model")
    if shards > 1:
        backbone.model.save_pretrained(folder, max_shard_size="6KB")
        (tmp_path / "model" / "model.safetensors").unlink(missing_ok=True)
        assert len(list((tmp_path / "model").glob("model-*.safetensors"))) > 1
    if has_bare_names:
        for file in (tmp_path / "model").glob("*.safetensors"):
            renamed = {name.removeprefix("model."): tensor for name, tensor in load_file(file).items()}
            save_file(renamed, file)
        for index in (tmp_path / "model").glob("*.index.json"):
            index.write_text(index.read_text().replace('"model.', '"'))
    table = load_writer_of_inputs(BackboneConfig(folder))
    assert torch.equal(table.embed(["about x"]).embeds, backbone.embed(["about x"]).embeds)


@pytest.mark.parametrize("sign", ["\u2028", "\x85", "🙂"])
def test_signs_that_end_a_line_of_text_are_signs_of_the_answer(client, fake, sign):
    fake.sign = f"a{sign}b"
    assert ask(client, "llama", "dee")[0].choices[0].text.startswith(fake.sign)


def test_who_leaves_ends_the_answer_in_the_back(client, fake):
    before, fake.pause = fake.left, 0.05
    with client.completions.create(model="llama", prompt=TEXT, user="dee", max_tokens=150, stream=True) as stream:
        next(iter(stream))
    assert wait_for(lambda: fake.left == before + 1, bool)


@pytest.mark.parametrize(("status", "is_streamed"), [(400, False), (500, True)])
def test_a_refusal_in_the_back_is_an_error_of_this_server(client, fake, front, status, is_streamed):
    fake.refuse = status
    with pytest.raises(openai.APIStatusError) as caught:
        ask(client, "llama", "dee", stream=is_streamed)
    assert caught.value.status_code == 502
    assert caught.value.code == "upstream_error"
    assert httpx2.get(f"{front.url}/readyz").status_code == 503
    fake.refuse = 0
    assert httpx2.get(f"{front.url}/readyz").status_code == 200
    assert ask(client, "llama", "dee")[0].choices[0].text


@pytest.mark.parametrize("pieces", [0, 3])
def test_an_answer_that_breaks_off_is_no_answer(client, fake, pieces):
    fake.break_after = pieces
    with pytest.raises(openai.APIStatusError) as caught:
        ask(client, "llama", "dee")
    assert caught.value.status_code == 502
    with pytest.raises(openai.APIError):
        list(client.completions.create(model="llama", prompt=TEXT, user="dee", max_tokens=12, stream=True))


def test_too_many_at_once_wait_and_then_are_refused(place, fake):
    fake.pause = 0.02
    runs = {"llama": place.runs["llama"]}
    config = EngineConfig(batch_rows=2, queue=3, relayed=2, batch_seconds=0.0)
    service = Service(replace(place, runs=runs, vllm=fake.url), OpenAccess(), limits=LIMITS, config=config)
    request = EngineRequest("llama", TEXT, "dee", GenerationConfig(max_new_tokens=12))

    async def crowd():
        service.start()
        replies, refused = [], 0
        for _ in range(60):
            try:
                replies.append(service.engine.ask(request))
            except FullQueueError:
                refused += 1
            await asyncio.sleep(0.002)
        await service.stop()
        return [(await reply.answer()).text for reply in replies], refused

    service.open()
    try:
        texts, refused = asyncio.run(crowd())
    finally:
        service.close()
    assert refused
    assert len(texts) > 5
    assert len(set(texts)) == 1
    assert fake.most == 2


def test_it_begins_only_with_a_server_that_fits(place, fake):
    def opened(**changes):
        Service(replace(place, **{"vllm": fake.url, **changes}), OpenAccess(), limits=LIMITS).open()

    with pytest.raises(ConfigError, match="different language models"):
        opened(runs={name: place.runs[name] for name in ("llama", "t5")})
    with pytest.raises(ConfigError, match=rf"serves {NAME}, not .*t5|encoder-decoder"):
        opened(runs={"t5": place.runs["t5"]})
    with pytest.raises(ConfigError, match=r"no vLLM server answers at http://127\.0\.0\.1:9: ConnectError"):
        opened(runs={"llama": place.runs["llama"]}, vllm="http://127.0.0.1:9")
    with pytest.raises(ConfigError, match="no vLLM server answers"):
        opened(runs={"llama": place.runs["llama"]}, vllm="no address")


def test_the_adapter_answers_where_the_persona_does_and_nowhere_else(client, fake, place):
    for model, is_off in (("lora", False), ("lora", True), ("llama", False)):
        ask(client, model, "dee", is_off=is_off)
    name = RunLora.of(place.runs["lora"]).name
    assert [body["model"] for body in fake.bodies] == [name, NAME, NAME]
    assert len({body["cache_salt"] for body in fake.bodies}) == 3


def test_the_users_own_words_have_no_say_in_the_back_and_that_is_told(client, server, place, fake, caplog):
    with server.client() as here:
        alone, copied = (ask(here, model, "dee")[0].choices[0].text for model in ("llama", "copying"))
    assert ask(client, "copying", "dee")[0].choices[0].text == alone != copied
    opened(place, fake, "copying")
    assert "copying: vLLM has no way to copy the user's own words" in caplog.text


def test_an_adapter_that_reads_answers_alone_is_refused_with_the_way_out(place, fake):
    with pytest.raises(ConfigError, match="adapted reads answers alone") as caught:
        opened(place, fake, "adapted")
    assert "--set adapter.reads=all" in caught.value.hint


@pytest.mark.usefixtures("bare")
def test_an_adapter_that_the_other_server_lacks_is_named_with_the_commands_that_bring_it(place, fake, tmp_path):
    with pytest.raises(ConfigError, match=r"does not know personaplug-[0-9a-f]{12}") as caught:
        opened(place, fake, "lora")
    _, export, start = caught.value.hint.splitlines()
    folder = Path(export.split()[-1])
    assert start.endswith(f"--lora-modules {folder.name}={folder}")
    words = ["export", "--run", str(place.runs["lora"]), "--out", str(tmp_path / folder)]
    assert export.replace(str(folder), str(tmp_path / folder)) == f"personaplug {' '.join(words)}"
    done = CliRunner().invoke(cli, words)
    assert done.exit_code == 0
    assert start.replace(str(folder), str(tmp_path / folder)) in done.stderr
    fake.load(folder.name, tmp_path / folder)
    opened(place, fake, "lora")


@pytest.mark.usefixtures("bare")
def test_an_adapter_is_put_where_the_other_server_finds_it_once_for_its_weights(place, fake, tmp_path):
    for _ in range(2):
        opened(place, fake, "lora", adapters=tmp_path)
    (name,) = fake.loras
    assert fake.loras[name].folder == str(tmp_path / name)
    fake.loras.clear()  # as one that was started anew
    opened(place, fake, "lora", adapters=tmp_path)
    assert set(fake.loras) == {name}


@pytest.mark.usefixtures("bare")
def test_servers_that_begin_at_once_bring_one_adapter(place, fake, llama, tmp_path):
    upstream, lora = Upstream.find(fake.url, model=llama), RunLora.of(place.runs["lora"])
    with ThreadPoolExecutor(4) as pool:  # of the adapter alone: transformers loads no two models at once in a process
        list(pool.map(lambda _: with_loras(upstream, {"lora": lora}, folder=tmp_path), range(4)))
    assert len(fake.loras) == 1
    assert [each.name for each in tmp_path.iterdir()] == list(fake.loras)


@pytest.mark.usefixtures("bare")
def test_a_server_that_loads_no_adapters_while_it_runs_is_said_to(place, fake, tmp_path):
    fake.takes_loras = False
    with pytest.raises(ConfigError, match=r"does not load personaplug-.*: 404") as caught:
        opened(place, fake, "lora", adapters=tmp_path)
    assert "VLLM_ALLOW_RUNTIME_LORA_UPDATING=True vllm serve" in caught.value.hint
    assert "--max-lora-rank 8 --lora-target-modules k_proj o_proj q_proj v_proj" in caught.value.hint


def test_a_server_that_was_started_anew_is_given_its_adapters_again(front, fake):
    names = set(fake.loras)
    fake.loras.clear()
    assert httpx2.get(f"{front.url}/readyz").status_code == 200
    assert set(fake.loras) == names


def test_a_server_that_lost_an_adapter_and_takes_none_is_not_ready(front, fake, bare):
    fake.takes_loras = False
    assert httpx2.get(f"{front.url}/readyz").status_code == 503
    fake.loras.update(bare)
    assert httpx2.get(f"{front.url}/readyz").status_code == 200


@pytest.fixture
def bare(front, fake):  # noqa: ARG001 (it brings its adapters first)
    """Let the server in the back lack all adapters; give those that it had."""
    held = dict(fake.loras)
    fake.loras.clear()
    yield held
    fake.loras.clear()
    fake.loras.update(held)


def opened(place, fake, run, **changes):
    """Open a server of one run before that in the back, and close it again."""
    service = Service(
        replace(place, runs={run: place.runs[run]}, vllm=fake.url, **changes), OpenAccess(), limits=LIMITS
    )
    service.open()
    service.close()


def test_a_server_with_no_room_for_an_answer_is_not_begun_with(place, fake, monkeypatch):
    monkeypatch.setattr(fake, "positions", 200)
    with pytest.raises(ConfigError, match="has no room for an answer"):
        Service(replace(place, runs={"llama": place.runs["llama"]}, vllm=fake.url), OpenAccess(), limits=LIMITS).open()


def test_a_server_is_found_by_either_name_and_with_either_address(fake, llama):
    for url in (fake.url, f"{fake.url}/v1", f"{fake.url}/"):
        for model in (llama, NAME):
            assert Upstream.find(url, model=model) == Upstream(fake.url, NAME, 512)


@pytest.mark.parametrize("family", ["t5", "joined"])
def test_an_encoder_decoder_takes_no_embeddings(encoder_decoders, family):
    with pytest.raises(ConfigError, match="only decoder-only language models") as caught:
        load_writer_of_inputs(BackboneConfig(encoder_decoders[family]))
    assert "--engine local" in str(caught.value.hint)


@pytest.fixture(scope="module")
def encoder_decoders(tmp_path_factory):
    built = {"t5": tiny.encoder_decoder(), "joined": tiny.joined_encoder_decoder()}
    return {name: tiny.save_model(model, tmp_path_factory.mktemp(name)) for name, model in built.items()}
