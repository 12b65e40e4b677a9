"""Laws of a plan: what follows from what, and figures that were measured by other means."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import LlamaConfig, LlamaForCausalLM

from personaplug.backbone.decoder_only import DecoderOnlyBackbone
from personaplug.errors import ConfigError
from personaplug.planning.constants import Constants
from personaplug.planning.fleet import HourlyPrices
from personaplug.planning.plan import plan
from personaplug.planning.storage import adapter_bytes, storage_of
from personaplug.planning.ways import WAYS
from personaplug.planning.workload import ModelShape, Workload
from personaplug.rivals.user_lora.adapters import LoraConfig, UserAdapters
from tests import tiny

RESULTS = Path(__file__).parents[2] / "benchmarks" / "results"
CROWD = Workload(users=1e6, items=100, requests=1e6, new_items=1e6)

counts = st.floats(1, 1e9)
loads = st.builds(
    Workload,
    users=counts,
    items=st.floats(4, 1e4),
    requests=counts,
    new_items=st.floats(0, 1e9),
    input_tokens=st.floats(1, 4096),
    answer_tokens=st.floats(1, 1024),
    k=st.floats(0, 4),
    item_tokens=st.floats(0, 512),
    items_by=st.sampled_from(["bm25", "dense"]),
    skew=st.floats(0, 1.5),
    engine=st.sampled_from(["vllm", "local"]),
)


@given(loads)
def test_twice_the_users_take_twice_the_disk_and_the_training_of_adapters(load):
    once, twice = plan(load).ways, plan(replace(load, users=2 * load.users)).ways
    for way in WAYS:
        assert asdict(twice[way].storage) == pytest.approx({k: 2 * v for k, v in asdict(once[way].storage).items()})
    hours = [ways["adapter"].preparation.training_hours for ways in (once, twice)]
    assert hours[1] == pytest.approx(2 * hours[0])


@given(loads)
def test_the_plug_is_trained_once_whatever_the_number_of_users(load):
    few, many = plan(replace(load, users=4)), plan(load)
    assert few.ways["persona"].preparation.training_hours == many.ways["persona"].preparation.training_hours


@given(loads)
def test_the_parts_add_up(load):
    for way in plan(load).ways.values():
        disk, answer = way.storage, way.answer
        assert disk.total == pytest.approx(disk.texts + disk.vectors + disk.rows + disk.adapters)
        assert answer.gpu_ms == pytest.approx(answer.reading_ms + answer.writing_ms)


@given(loads)
def test_items_in_a_prompt_cost_no_less_to_read_than_as_many_persona_vectors(load):
    ways = plan(replace(load, persona_vectors=load.k * load.item_tokens)).ways
    assert ways["items"].answer.prompt_tokens == ways["persona"].answer.prompt_tokens
    assert ways["items"].answer.reading_ms == ways["persona"].answer.reading_ms
    more = plan(replace(load, item_tokens=load.item_tokens + 1, k=4)).ways["items"].answer
    assert more.gpu_ms > plan(replace(load, k=4)).ways["items"].answer.gpu_ms


@given(loads, st.floats(0.1, 10))
def test_a_measured_rate_of_ones_own_changes_the_hours_and_nothing_on_disk(load, factor):
    known = Constants()
    ours = plan(load, known).ways["persona"]
    theirs = plan(load, replace(known, texts_per_second=factor * known.texts_per_second)).ways["persona"]
    assert theirs.preparation.encoding_hours == pytest.approx(ours.preparation.encoding_hours / factor)
    assert theirs.storage == ours.storage
    slow = plan(load, replace(known, training_teraflops=known.training_teraflops / factor)).ways["adapter"]
    hours = plan(load, known).ways["adapter"].preparation.training_hours
    assert slow.preparation.training_hours == pytest.approx(hours * factor)


@given(loads)
def test_gpus_are_enough_for_the_busiest_time_and_no_server_is_too_many(load):
    for way in plan(load).ways.values():
        each = -(-way.fleet.server_bytes // load.gpu_memory)
        needed = load.peak_rate * way.answer.gpu_ms / 1000
        assert way.fleet.gpus >= needed * (1 - 1e-9)
        assert way.fleet.gpus == each or way.fleet.gpus - each < needed


prices = st.one_of(st.none(), st.floats(0.01, 100))


@given(loads, prices, prices)
def test_a_cost_is_that_of_the_hours_it_is_made_of(load, gpu, machine):
    for way in plan(load, prices=HourlyPrices(gpu, machine)).ways.values():
        assert way.price.paid_hours >= way.price.busy_hours * (1 - 1e-9)
        assert 2 * way.price.machine_hours * load.requests == pytest.approx(24e6 * way.fleet.cores)
        for cost, of_gpus, of_machines in (
            (way.price.cost, way.price.paid_hours, way.price.machine_hours),
            (way.price.preparation_cost, way.preparation.training_hours, way.preparation.encoding_hours),
        ):
            if (of_gpus and gpu is None) or (of_machines and machine is None):
                assert cost is None
            else:
                assert cost == pytest.approx(of_gpus * (gpu or 0) + of_machines * (machine or 0))


@given(loads)
def test_one_writer_stores_all_items_whoever_encodes_them(load):
    known = Constants()
    ways = plan(load, known).ways
    for way in ("persona", "items"):
        assert ways[way].preparation.writing_hours == pytest.approx(load.all_items / known.written_per_second / 3600)
        assert ways[way].day.writing_hours == pytest.approx(load.new_items / known.written_per_second / 3600)
    assert ways["adapter"].preparation.writing_hours == 0


def test_a_store_is_planned_as_large_as_the_measured_ones_are():
    """Stores of six shapes in two orders (the plan's constants are from these), and one of 10,000,000 vectors."""
    for row in json.loads((RESULTS / "scale.json").read_text("utf-8")).values():
        if row["name"].startswith("bytes of an item"):
            views, dim = (int(word) for word in row["name"].split(", ")[1].split(" dim")[0].split(" x "))
            text = row["details"]["own_bytes"] - 2 * views * dim
            assert planned_bytes(views=views, dim=dim, text=text) == pytest.approx(row["value"], rel=0.1), row["name"]
    speed = json.loads((RESULTS / "speed" / "amd-epyc.json").read_text("utf-8"))
    measured = speed["fetching one user's vectors, 10,000,000"]["details"]["file_mb"] * 1e6 / 1e7
    assert planned_bytes(views=1, dim=384, text=7) == pytest.approx(measured, rel=0.05)


def planned_bytes(*, views, dim, text):
    load = Workload(users=1, items=1, k=1, requests=1, views=views, dim=dim, input_tokens=1, answer_tokens=1)
    return storage_of("persona", load, replace(Constants(), bytes_per_token=text / 2)).total


def test_an_adapter_weighs_what_peft_makes_of_it():
    config = LlamaConfig(
        vocab_size=260, hidden_size=32, intermediate_size=48, num_hidden_layers=3, num_attention_heads=4,
        num_key_value_heads=2, head_dim=8,
    )  # fmt: skip
    backbone = DecoderOnlyBackbone(LlamaForCausalLM(config).eval(), tiny.byte_tokenizer(start=True, end=False))
    made = UserAdapters(backbone, LoraConfig(rank=5)).start
    shape = ModelShape(weights=1e6, layers=3, width=32, key_width=16)
    assert shape.adapter_weights(5) == sum(tensor.numel() for tensor in made.values())


def test_an_adapter_of_smollm2_is_as_large_as_on_disk():
    """3,718,727 bytes a user: `personaplug train --method user-lora`, its files' names and settings among them."""
    smollm2 = ModelShape(weights=135e6, layers=30, width=576, key_width=192)
    assert adapter_bytes(replace(CROWD, model=smollm2)) == pytest.approx(3_718_727, rel=0.01)


def test_a_model_that_one_gpu_cannot_hold_takes_several_and_not_the_local_engine():
    large = replace(CROWD, model=ModelShape(weights=70e9, layers=80, width=8192, key_width=1024))
    assert plan(large).ways["persona"].fleet.gpus % 2 == 0
    with pytest.raises(ConfigError, match=r"14\d GB"):
        plan(replace(large, engine="local"))


def test_the_local_engine_writes_no_faster_than_it_launches():
    """218 ms for 16 tokens of 8 answers on 16 layers: benchmarks/results/speed, an H100."""
    llama = ModelShape(weights=1.098e9, layers=16, width=2048, key_width=512)
    load = replace(CROWD, model=llama, batch=8, answer_tokens=16, engine="local")
    assert 8 * plan(load).ways["persona"].answer.writing_ms == pytest.approx(218, rel=0.01)


@pytest.mark.parametrize("field", ["users", "items", "input_tokens", "batch", "requests"])
@pytest.mark.parametrize("value", [0, -1, float("nan"), float("inf")])
def test_nonsense_is_refused_by_its_name(field, value):
    with pytest.raises(ConfigError, match=field):
        replace(CROWD, **{field: value})


def test_more_items_in_a_prompt_than_there_are_is_refused():
    with pytest.raises(ConfigError, match="101 items in a prompt are more than the 100"):
        replace(CROWD, k=101)


@pytest.mark.parametrize(("whose", "words"), [("gpu", "a GPU's hour"), ("machine", "a machine's hour")])
@pytest.mark.parametrize("price", [0, -2.5, float("nan"), float("inf")])
def test_a_price_that_is_none_is_refused(price, whose, words):
    with pytest.raises(ConfigError, match=words):
        HourlyPrices(**{whose: price})
