"""``personaplug plan``: a table, the same as JSON, and one clear error for whatever makes no sense."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from personaplug.planning.constants import Constants
from tests.cli.conftest import done

PAGE = Path(__file__).parents[2] / "docs" / "scale.md"
ASKED = "plan", "--users", "1e7", "--items", "100"

PLAN_AND_WHAT_IT_LOADED = """
import sys
from pathlib import Path
from personaplug.cli.main import main
try:
    main(["plan", "--users", "10", "--items", "5"])
finally:
    print("torch" in sys.modules, "transformers" in sys.modules)
"""


def test_the_table_has_a_column_for_each_way_and_says_what_it_stands_on(personaplug):
    said = done(personaplug(*ASKED)).stdout
    assert "10 million users of 100 items, 10 million requests a day" in said
    for words in ("persona", "items in prompt", "adapter per user", "together", "GPUs", "personaplug plan --constants"):
        assert words in said
    assert "cost of" not in said


def test_a_cost_is_shown_where_the_price_of_an_hour_is_known(personaplug):
    said = done(personaplug(*ASKED, "--gpu-hour", 2.5, "--machine-hour", 7)).stdout
    paid, beside, cost = (
        next(line.split()[-2] for line in said.splitlines() if words in line)
        for words in ("all day", "hours of two-core machines", "cost of these two")
    )
    assert float(cost) == pytest.approx(2.5 * float(paid) + 7 * float(beside), rel=0.02)


def test_a_program_reads_all_numbers_as_json(personaplug):
    read = json.loads(done(personaplug(*ASKED, "--gpu-hour", 2, "--json")).stdout)
    assert set(read["ways"]) == {"persona", "items", "adapter"}
    assert read["load"]["users"] == read["load"]["requests"] == read["load"]["new_items"] == 1e7
    assert read["constants"]["texts_per_second"] == Constants().texts_per_second
    assert read["ways"]["persona"]["preparation"]["texts"] == 2e9
    assert read["ways"]["adapter"]["price"]["cost"] == 2 * read["ways"]["adapter"]["price"]["paid_hours"]


def test_a_constant_of_ones_own_takes_the_place_of_ours_and_is_named(personaplug):
    rate = 10 * Constants().texts_per_second
    ours, theirs = (
        json.loads(done(personaplug(*ASKED, *more, "--json")).stdout)["ways"]["persona"]["preparation"]
        for more in ((), ("--set", f"texts_per_second={rate}"))
    )
    assert theirs["encoding_hours"] == pytest.approx(ours["encoding_hours"] / 10)
    assert "Yours: texts_per_second=2526" in " ".join(
        done(personaplug(*ASKED, "--set", f"texts_per_second={rate}")).stdout.split()
    )


def test_each_constant_is_shown_with_where_it_comes_from(personaplug):
    said = "".join(done(personaplug("plan", "--constants")).stdout.split())
    for name, each in Constants.__dataclass_fields__.items():
        assert name in said
        assert each.metadata["source"] in said


@pytest.mark.parametrize("value", ["-3", "0", "nan", "inf", "1e400", "ten", "", "1e16"])
@pytest.mark.parametrize("option", ["--users", "--items"])
def test_a_number_that_makes_no_sense_is_wrong_usage(personaplug, option, value):
    result = personaplug(*ASKED, option, value)
    assert (result.exit_code, result.stdout) == (2, "")
    assert f"Invalid value for '{option}'" in result.stderr


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--items", 3, "--k", 4], "4 items in a prompt are more than the 3"),
        (["--gpu-hour", "nan"], "price"),
        (["--gpu-hour", "-1"], "price"),
        (["--machine-hour", "0"], "a machine's hour"),
        (["--weights", "1e8"], "attention"),
        (["--set", "texts_per_second=0"], "texts_per_second must be a number above zero"),
        (["--set", "texts_per_second=nan"], "texts_per_second must be a number above zero"),
        (["--set", "texts=5"], "unknown key 'texts'"),
        (["--engine", "local", "--gpu-memory", "1e9"], "GB"),
    ],
)
def test_what_does_not_fit_together_is_one_error(personaplug, words, told):
    result = personaplug(*ASKED, *words)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.count("Error: ") == 1
    assert told in result.stderr


def test_a_plan_needs_no_torch():
    run = subprocess.run([sys.executable, "-c", PLAN_AND_WHAT_IT_LOADED], capture_output=True, text=True, check=True)
    assert run.stdout.splitlines()[-1] == "False False"


def test_the_page_shows_what_the_command_says_and_each_constant(personaplug):
    page = PAGE.read_text(encoding="utf-8")
    said = done(personaplug(*ASKED, "--gpu-hour", 2.5, "--machine-hour", 0.1)).stdout
    assert "\n".join(line.rstrip() for line in said.rstrip().splitlines()) in page
    for name, each in Constants.__dataclass_fields__.items():
        assert f"| `{name}` | {each.default:,g} {each.metadata['unit']} | {each.metadata['help']} |" in page
        source = each.metadata["source"]
        assert source.startswith("https://") or (PAGE.parents[1] / source).exists()
