"""The preset ``paper`` reads of an item what the released code reads, from the index to the answer."""

import tomllib

import pytest

from personaplug.bench.layout import TaskLayout
from personaplug.bench.provenance import contender_parts, task_parts
from personaplug.bench.recipe import read_recipe
from personaplug.data.lamp import read_lamp
from personaplug.data.log import write_log
from personaplug.evaluation.report import Report
from personaplug.plug.run import PRESETS
from personaplug.store.persona_store import PersonaStore
from personaplug.tasks.task import load_task
from tests.bench.bench_world import write_recipe
from tests.cli.conftest import done, run_command
from tests.cli.conftest import write_log as write_small_log
from tests.lamp_files import make_profile, write_split

PUBLISHED, OURS = ("{input} {output}",), ("{input}", "{output}")
TASK = ("--task", "lamp-4")


@pytest.fixture(scope="module")
def paper(models, tmp_path_factory):
    """Make LaMP-4's log, an index and a run of it with the preset paper, and an index with the default."""
    folder = tmp_path_factory.mktemp("paper")
    for first, split in enumerate(("train", "dev")):
        profiles = [make_profile("lamp-4", 4, first_id=10 * (first + 2 * user)) for user in range(3)]
        write_split(folder / "lamp", "lamp-4", split, profiles)
    write_log(read_lamp(folder / "lamp", "lamp-4"), folder / "log.jsonl")
    words = (*TASK, "--encoder", models["encoder"])
    done(run_command("index", folder / "log.jsonl", *words, "--preset", "paper", "--store", folder / "paper.db"))
    done(run_command("index", folder / "log.jsonl", *words, "--store", folder / "ours.db"))
    done(train(run_command, models, folder, "paper.db", "--preset", "paper", out="run"))
    return folder


def train(personaplug, models, folder, store, *words, out):
    models = ("--encoder", models["encoder"], "--backbone", models["encoder-decoder"])
    words = (*TASK, *models, "--store", folder / store, "--epochs", 1, "--out", folder / out, *words)
    return personaplug("train", folder / "log.jsonl", *words)


def test_index_and_run_have_the_views_of_the_released_code(paper):
    for name, views in (("paper.db", PUBLISHED), ("ours.db", OURS)):
        with PersonaStore.open(paper / name) as store:
            assert store.layout.views == views
    assert tomllib.loads((paper / "run" / "config.toml").read_text())["published_views"] is True
    assert tuple(tomllib.loads((paper / "run" / "task.toml").read_text())["views"]) == PUBLISHED


@pytest.mark.parametrize(
    ("method", "option", "name"),
    [("plug", "--run", "run"), ("dense", "--run", "run"), ("dense", "--store", "paper.db")],
)
def test_what_follows_needs_no_word_of_it(personaplug, paper, models, tmp_path, method, option, name):
    words = (*TASK, "--split", "dev", "--method", method, option, paper / name, "--max-new-tokens", 3)
    encoder = ("--encoder", models["encoder"], "--store", paper / "paper.db")
    backbone = ("--backbone", models["encoder-decoder"])
    given = () if method == "plug" else encoder if option == "--run" else (*encoder, *backbone)
    done(personaplug("evaluate", paper / "log.jsonl", *words, *given, "--out", tmp_path / "report.json"))
    assert len(Report.read(tmp_path / "report.json").answers) == 3


def test_a_run_of_it_explains_and_answers(personaplug, paper):
    with PersonaStore.open(paper / "paper.db") as store:
        user = next(store.users())
    words = ("Generate a headline for the following article: hoot", "--run", paper / "run", "--user", user)
    done(personaplug("generate", *words, "--max-new-tokens", 3))
    assert "o3" in done(personaplug("explain", *words)).stdout


def test_a_run_of_it_goes_on_where_it_was_stopped(personaplug, models, paper, tmp_path):
    config = (paper / "run" / "config.toml").read_text()
    (tmp_path / "stopped").mkdir()
    (tmp_path / "stopped" / "config.toml").write_text(config)
    done(train(personaplug, models, paper, "paper.db", "--resume", out=tmp_path / "stopped"))
    assert tuple(tomllib.loads((tmp_path / "stopped" / "task.toml").read_text())["views"]) == PUBLISHED


@pytest.mark.parametrize(
    ("store", "preset", "hint"),
    [
        ("ours.db", "paper", "personaplug index LOG --task lamp-4 --encoder ENCODER --preset paper --store NEW_FILE"),
        ("paper.db", "default", "personaplug index LOG --task lamp-4 --encoder ENCODER --store NEW_FILE"),
    ],
)
def test_the_index_of_the_other_preset_is_refused_with_the_command_that_makes_the_right_one(
    personaplug, models, paper, tmp_path, store, preset, hint
):
    result = train(personaplug, models, paper, store, "--preset", preset, out=tmp_path / "run")
    assert result.exit_code == 1
    assert hint in " ".join(result.stderr.split())
    assert not (tmp_path / "run").exists()


def test_an_index_is_never_of_both(personaplug, models, paper):
    words = (*TASK, "--encoder", models["encoder"], "--store", paper / "ours.db", "--preset", "paper")
    result = personaplug("index", paper / "log.jsonl", *words)
    assert result.exit_code == 1
    assert "--preset" in result.stderr


def test_where_a_task_says_nothing_both_presets_have_one_index(personaplug, models, tmp_path):
    write_small_log(tmp_path / "log.jsonl")
    words = ("--task", "log", "--encoder", models["encoder"])
    done(personaplug("index", tmp_path / "log.jsonl", *words, "--preset", "paper", "--store", tmp_path / "log.db"))
    with PersonaStore.open(tmp_path / "log.db") as store:
        assert store.layout.views == OURS


@pytest.mark.parametrize("preset", ["default", "paper"])
def test_what_a_bench_records_names_the_views_that_are_read_and_no_others(models, tmp_path, preset):
    """Else every bench of before there were published views would be refused."""
    recipe = read_recipe(write_recipe(tmp_path, models, preset=preset))
    task = PRESETS[preset].form_of(load_task("lamp-4"))
    place = TaskLayout(recipe.tasks[0], task, "lamp-4", tmp_path / "log.jsonl", tmp_path / "out")
    assert task_parts(recipe, place)["task"]["views"] == (PUBLISHED if preset == "paper" else OURS)
    parts = (task_parts(recipe, place), contender_parts(recipe, place, contender=recipe.contenders[-1]))
    assert "published_views" not in str(parts)
