"""``--engine vllm`` in front of a real vLLM for the CPU: see ``scripts/vllm_cpu.py``."""

import os
import signal
import string
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import httpx2
import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from personaplug.backbone.decoder_only import DecoderOnlyBackbone
from personaplug.plug.adapter_config import SharedAdapterConfig
from personaplug.plug.adapter_export import RunLora
from personaplug.plug.model import build_plug
from personaplug.plug.query_source import QuerySource
from personaplug.ports import address_of, listen
from personaplug.serving.api.service import ServedPaths
from personaplug.serving.engine.vllm_command import vllm_command
from personaplug.store.indexing import index
from tests import tiny
from tests.factories import make_item
from tests.serving.running import running
from tests.world import TASK, Row, as_if_trained, encoder_in, make_run, make_store

FOLDER = os.environ.get("PERSONAPLUG_VLLM", "")
pytestmark = [
    pytest.mark.skipif(not FOLDER, reason="no vLLM here: python -m scripts.vllm_cpu DIR, then PERSONAPLUG_VLLM=DIR"),
    pytest.mark.timeout(900),
]
CROWD, CLIENTS, REQUESTS = 200, 64, 1000
RUNS = {"vectors": SharedAdapterConfig(rank=0), "lora": SharedAdapterConfig(rank=4, reads="all")}
ASKED = [
    (run, user, text, is_off)
    for run in RUNS
    for text in ("about x, in the user's own words", "about y")
    for user, is_off in (("dee", False), ("cyd", False), ("nobody", False), ("dee", True))
]


def llama():
    """A Llama whose heads are as wide as vLLM wants them, and which likes to write letters.

    It says so by its weights: vLLM does not read which tokens a ``generation_config.json`` forbids.
    """
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=260, hidden_size=64, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=2, max_position_embeddings=512, pad_token_id=0, bos_token_id=1, eos_token_id=2,
        initializer_range=0.2,
    )  # fmt: skip
    model, tokenizer = LlamaForCausalLM(config), tiny.byte_tokenizer(start=True, end=False)
    pieces = tokenizer.convert_ids_to_tokens(range(len(tokenizer)))
    with torch.no_grad():
        for at, piece in enumerate(pieces):
            model.lm_head.weight[at] *= piece in {"Ġ", "</s>", *string.ascii_letters}
    return DecoderOnlyBackbone(model.eval(), tokenizer)


def crowd():
    """Give the items of many users, who each write in a way of their own."""
    for user in range(CROWD):
        for day in range(1 + user % 5):
            output = "".join(string.ascii_lowercase[(user * 7 + day + at * (user % 11 + 1)) % 26] for at in range(6))
            yield Row(f"user {user}", make_item(day, f"a talk about {'xyz'[day % 3]} {day}", output))


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("place")
    models = {"encoder": tiny.text_encoder(), "llama": llama()}
    models = {name: tiny.save_model(model, folder / name) for name, model in models.items()}
    encoder = encoder_in(models)
    with make_store(folder / "store.db", encoder) as store:
        index(crowd(), store, encode=lambda texts: encoder.encode(texts).numpy())
        for name, adapter in RUNS.items():
            run = replace(make_run(models, "llama"), adapter=adapter)
            plug = as_if_trained(build_plug(run, TASK, store=store, query_source=QuerySource.STORE))
            plug.save_pretrained(folder / name)
    return ServedPaths({name: folder / name for name in RUNS}, folder / "store.db")


@pytest.fixture(scope="module")
def vllm(place, tmp_path_factory):
    """The address of a vLLM that serves the language model, started by the command that errors and ``export`` tell."""
    with listen("127.0.0.1", 0) as bound:
        url = address_of(bound)
    lora = RunLora.of(place.runs["lora"])
    _, *words = vllm_command(lora.model, loras={}, rank=lora.config.rank, maps=lora.maps, count=1).split()
    words += ["--dtype", "float32", "--enforce-eager", "--max-num-seqs", "16"]
    words += ["--host", "127.0.0.1", "--port", url.rpartition(":")[2]]
    settings = {"VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "True", "VLLM_NO_USAGE_STATS": "1"}
    log = tmp_path_factory.mktemp("vllm") / "log"
    with log.open("wb") as said:
        process = subprocess.Popen(
            [Path(FOLDER) / "bin" / "vllm", *words],
            env={**os.environ, **settings},
            stdout=said,
            stderr=said,
            start_new_session=True,
        )
    try:
        while not _is_up(url):
            assert process.poll() is None, log.read_text()[-3000:]
            time.sleep(1.0)
        yield url
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(60)


def _is_up(url):
    try:
        return httpx2.get(f"{url}/health", timeout=5.0).status_code == 200
    except httpx2.HTTPError:
        return False


@pytest.fixture(scope="module")
def here(place, tmp_path_factory):
    """OpenAI's client of a server that answers by itself."""
    with running(place, tmp_path_factory.mktemp("local")) as server, server.client() as client:
        yield client


@pytest.fixture(scope="module")
def there(place, vllm, tmp_path_factory):
    """OpenAI's client of a server before vLLM."""
    folder = tmp_path_factory.mktemp("front")
    behind = replace(place, vllm=vllm, adapters=folder / "adapters")
    with running(behind, folder) as server, server.client() as client:
        yield client


def ask(client, run, user, text, is_off, *, is_streamed=False):
    extra = {"extra_body": {"persona": "off"}} if is_off else {}
    words = {"model": run, "user": user, "prompt": text, "max_tokens": 16, **extra}
    if is_streamed:
        return "".join(event.choices[0].text for event in client.completions.create(**words, stream=True))
    choice = client.completions.create(**words).choices[0]
    return choice.text, choice.finish_reason


def test_greedy_answers_are_those_of_the_local_engine_many_at_once(here, there):
    expected = [ask(here, *asked) for asked in ASKED]
    assert len(set(expected)) > len(ASKED) / 2
    with ThreadPoolExecutor(16) as pool:
        assert list(pool.map(lambda asked: ask(there, *asked), ASKED)) == expected
    streamed = [ask(there, *asked, is_streamed=True) for asked in ASKED]
    assert streamed == [text for text, _ in expected]


def test_of_a_thousand_requests_of_many_clients_none_is_lost_or_mixed_up(here, there):
    asked = [
        (
            ("lora", "vectors")[at % 2],
            f"user {at * 7 % CROWD}",
            f"about {'xyz'[at % 3]}, for the {at}. time",
            at % 10 == 9,
        )
        for at in range(REQUESTS)
    ]
    with ThreadPoolExecutor(CLIENTS) as pool:
        expected = list(pool.map(lambda each: ask(here, *each), asked))
        relayed = list(pool.map(lambda each: ask(there, *each), asked))
    assert len(set(expected)) > REQUESTS / 2
    assert relayed == expected


def test_vllm_has_the_adapter_by_the_name_of_its_weights(there, vllm, place):
    assert there.models.list().data
    names = {card["id"] for card in httpx2.get(f"{vllm}/v1/models").json()["data"]}
    assert RunLora.of(place.runs["lora"]).name in names
