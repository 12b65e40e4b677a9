import json
from dataclasses import replace

import pytest

from personaplug.methods.text_profile import folder_of
from personaplug.plug import encoders as named
from personaplug.rivals.user_lora.adapter_folder import AdapterFolder
from personaplug.store.persona_store import PersonaStore
from personaplug.store.snapshots import beside
from tests.cli.fake_encoder import FakeEncoder
from tests.factories import make_items
from tests.store.fakes import LAYOUT, stack

SECRET = "what ada keeps to herself"
ITEMS = make_items(SECRET, "second", "third")
BGE = "BAAI/bge-base-en-v1.5"


@pytest.fixture
def path(tmp_path):
    """A store that ``minilm`` filled."""
    return make_store(tmp_path / "log.db", "minilm@1")


@pytest.fixture
def encoders(monkeypatch):
    """The names of the encoders that were loaded."""
    loaded = []

    def load(config, **_):
        loaded.append(config.model)
        return FakeEncoder(config.model.split("/")[-1])

    monkeypatch.setattr(named, "load_encoder", load)
    return loaded


def make_store(path, fingerprint):
    layout = type(LAYOUT)(fingerprint, LAYOUT.views, LAYOUT.dim)
    with PersonaStore.open(path, layout=layout) as store:
        store.append("ada", ITEMS, stack(ITEMS))
        store.append("bob", ITEMS[:1], stack(ITEMS[:1]))
    return path


def held(path, user):
    with PersonaStore.open(path) as store:
        return [(item.input, item.output) for item in store.get(user).items]


@pytest.mark.parametrize("words", [("list",), ("show", "ada"), ("export", "ada"), ("forget", "ada", "--yes")])
def test_a_store_that_is_not_there_is_our_error(personaplug, tmp_path, words):
    result = personaplug("persona", *words, "--store", tmp_path / "absent.db")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "there is no such store" in result.stderr


@pytest.mark.parametrize("words", [("show", "eve"), ("export", "eve"), ("forget", "eve", "--yes")])
def test_an_unknown_user_is_our_error(personaplug, path, words):
    result = personaplug("persona", *words, "--store", path)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "nothing of user 'eve'" in result.stderr


def test_list_gives_a_line_for_each_user_with_count_and_dates(personaplug, path):
    lines = personaplug("persona", "list", "--store", path).stdout.splitlines()
    assert lines == ["ada\t3 items\t2020-01-01 to 2020-01-03", "bob\t1 items\t2020-01-01 to 2020-01-01"]
    as_json = json.loads(personaplug("persona", "list", "--store", path, "--json").stdout)
    assert [(user["user_id"], user["items"]) for user in as_json] == [("ada", 3), ("bob", 1)]


STEERING = "\x1b[31m\nevé\x9b2J\u202e"
ESCAPED = r"\x1b[31m\nevé\x9b2J\u202e"


@pytest.mark.parametrize(
    "words",
    [
        ("list",),
        ("show", STEERING),
        ("show", STEERING, "--text"),
        ("append", STEERING, "--input", STEERING, "--output", STEERING),
        ("append", STEERING, "--log", "log.jsonl"),
        ("forget", STEERING),
        ("forget", STEERING, "--yes"),
        ("forget", STEERING + "?", "--yes"),
    ],
)
@pytest.mark.usefixtures("encoders")
def test_nobodys_id_or_text_steers_the_terminal(personaplug, path, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    row = {"user_id": "another", "time": "2020-01-01T00:00:00Z", "input": "x", "output": "y"}
    (tmp_path / "log.jsonl").write_text(json.dumps(row))
    item = replace(ITEMS[0], id=STEERING, input=STEERING, output=STEERING)
    with PersonaStore.open(path) as store:
        store.append(STEERING, [item], stack([item]))
    result = personaplug("persona", *words, "--store", path, input="n\n")
    assert ESCAPED in result.output
    assert not set(result.output) & set(STEERING) - set("[31m\nevé2J")


def test_json_that_would_steer_the_terminal_is_escaped_and_reads_as_it_was(personaplug, path):
    item = replace(ITEMS[0], id=STEERING, input=STEERING, output="👩\u200d🔬 \U000e0041")
    with PersonaStore.open(path) as store:
        store.append(STEERING, [item], stack([item]))
    for words in [("list",), ("show", STEERING, "--text"), ("export", STEERING)]:
        printed = personaplug("persona", *words, "--store", path, *(["--json"] if words[0] != "export" else [])).stdout
        assert not set(printed) & set(STEERING + "\U000e0041") - set("[31m\nevé2J")
        told = json.loads(printed)
        assert STEERING in [user["user_id"] for user in (told if words[0] == "list" else [told])]
        if words[0] == "export":
            assert json.loads(printed)["output"] == item.output


def test_show_tells_text_only_when_asked(personaplug, path):
    plain = personaplug("persona", "show", "--store", path, "ada")
    assert "3 items" in plain.stdout
    assert "minilm@1" in plain.stdout
    assert SECRET not in plain.stdout + personaplug("persona", "show", "--store", path, "ada", "--json").stdout
    assert SECRET in personaplug("persona", "show", "--store", path, "ada", "--text").stdout
    as_json = json.loads(personaplug("persona", "show", "--store", path, "ada", "--text", "--json").stdout)
    assert [row["input"] for row in as_json["rows"]] == [SECRET, "second", "third"]


def test_append_adds_one_item_encoded_by_the_stores_own_encoder(personaplug, path, encoders):
    words = "--input", "a new text", "--output", "a new answer", "--time", "2024-05-01"
    result = personaplug("persona", "append", "--store", path, "ada", *words)
    assert result.stdout == "ada: 1 new, now 4 items\t2020-01-01 to 2024-05-01\n"
    assert encoders == ["minilm"]
    assert held(path, "ada")[-1] == ("a new text", "a new answer")
    assert "0 new, now 4" in personaplug("persona", "append", "--store", path, "ada", *words).stdout


@pytest.mark.usefixtures("encoders")
def test_what_was_appended_by_hand_is_not_new_when_a_log_without_ids_brings_it(personaplug, path, tmp_path):
    words = "--input", "a new text", "--output", "a new answer", "--time", "2024-05-01T12:00:00+02:00"
    personaplug("persona", "append", "--store", path, "ada", *words)
    row = {"user_id": "ada", "time": "2024-05-01T10:00:00Z", "input": "a new text", "output": "a new answer"}
    (tmp_path / "ada.jsonl").write_text(json.dumps(row))
    again = personaplug("persona", "append", "--store", path, "ada", "--log", tmp_path / "ada.jsonl")
    assert again.stdout.startswith("ada: 0 new, now 4 items")


def test_the_stores_encoder_is_known_by_the_end_of_its_name(personaplug, tmp_path, encoders):
    store = make_store(tmp_path / "bge.db", "bge-base-en-v1.5@1")
    assert personaplug("persona", "append", "--store", store, "eve", "--input", "x", "--output", "y").exit_code == 0
    assert encoders == [BGE]


def test_append_refuses_another_encoder(personaplug, path, encoders):
    words = "--input", "x", "--output", "y", "--encoder", "other"
    result = personaplug("persona", "append", "--store", path, "ada", *words)
    assert result.exit_code == 1
    assert "by encoder 'minilm@1', not by 'other@1'" in result.stderr
    assert encoders == ["other"]
    assert len(held(path, "ada")) == 3


@pytest.mark.usefixtures("encoders")
def test_what_is_exported_can_be_appended_to_another_store(personaplug, path, tmp_path):
    log = tmp_path / "ada.jsonl"
    log.write_text(personaplug("persona", "export", "--store", path, "ada").stdout)
    other = make_store(tmp_path / "other.db", "minilm@1")
    personaplug("persona", "forget", "--store", other, "ada", "--yes")
    result = personaplug("persona", "append", "--store", other, "ada", "--log", log, "--json")
    assert json.loads(result.stdout)["new_items"] == 3
    assert held(other, "ada") == held(path, "ada")


@pytest.mark.usefixtures("encoders")
def test_an_export_is_a_log_whatever_the_texts_hold(personaplug, path, tmp_path):
    items = make_items("a NUL \0 in it", "\x1b[31m\u2028\x85", "é 🦉")
    with PersonaStore.open(path) as store:
        store.append("eve", items, stack(items))
    log = tmp_path / "eve.jsonl"
    log.write_bytes(personaplug("persona", "export", "--store", path, "eve").stdout_bytes)
    other = make_store(tmp_path / "other.db", "minilm@1")
    assert personaplug("persona", "append", "--store", other, "eve", "--log", log).exit_code == 0
    assert held(other, "eve") == [("a NUL \ufffd in it", ""), ("\x1b[31m\u2028\x85", ""), ("é 🦉", "")]


@pytest.mark.usefixtures("encoders")
def test_a_tenant_s_user_goes_from_store_to_store_by_name_alone(personaplug, path, tmp_path):
    user, log = "shop\x1fada", tmp_path / "ada.jsonl"
    with PersonaStore.open(path) as store:
        store.append(user, ITEMS, stack(ITEMS))
    log.write_text(personaplug("persona", "export", "--store", path, user).stdout)
    other = make_store(tmp_path / "other.db", "minilm@1")
    planted = personaplug("index", log, "--task", "log", "--store", tmp_path / "new.db")
    assert (planted.exit_code, "the control character U+001F" in planted.stderr) == (1, True)
    assert personaplug("persona", "append", "--store", other, user, "--log", log).exit_code == 0
    assert held(other, user) == held(path, user)


def test_append_refuses_a_log_of_other_users(personaplug, path, tmp_path, encoders):
    log = tmp_path / "bob.jsonl"
    log.write_text(personaplug("persona", "export", "--store", path, "bob").stdout)
    result = personaplug("persona", "append", "--store", path, "ada", "--log", log)
    assert result.exit_code == 1
    assert "row of user 'bob'" in result.stderr
    assert encoders == []


@pytest.mark.parametrize(
    "words", [(), ("--input", "x"), ("--output", "y"), ("--log", "l", "--input", "x", "--output", "y")]
)
def test_append_takes_either_a_log_or_an_input_with_its_output(personaplug, path, words):
    assert personaplug("persona", "append", "--store", path, "ada", *words).exit_code == 2


def test_a_time_that_cannot_be_read_is_wrong_usage(personaplug, path):
    words = "--input", "x", "--output", "y", "--time", "yesterday"
    assert personaplug("persona", "append", "--store", path, "ada", *words).exit_code == 2


def test_forget_asks_first_and_forgets_nobody_on_no(personaplug, path):
    result = personaplug("persona", "forget", "--store", path, "ada", input="n\n")
    assert result.exit_code == 1
    assert len(held(path, "ada")) == 3


@pytest.mark.parametrize(("words", "typed"), [((), "y\n"), (("--yes",), None)])
def test_forget_removes_every_user_named(personaplug, path, words, typed):
    result = personaplug("persona", "forget", "--store", path, "ada", "bob", *words, "--json", input=typed)
    assert json.loads(result.stdout) == {"users": ["ada", "bob"], "items": 4, "finished_earlier": False}
    assert SECRET.encode() not in b"".join(each.read_bytes() for each in path.parent.iterdir())


def test_a_forget_that_was_cut_short_is_finished_by_the_same_command_which_says_so(personaplug, path, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr("personaplug.store.persona_store.wipe_remains", lambda *_, **__: None)
        personaplug("persona", "forget", "--store", path, "ada", "--yes")
    result = personaplug("persona", "forget", "--store", path, "ada", "--yes")
    assert result.exit_code == 0
    assert "finished an earlier forget that was cut short" in result.stdout
    assert "of ada there is nothing left" in result.stdout
    assert b"third" not in b"".join(each.read_bytes() for each in path.parent.iterdir())
    assert "nothing of user 'ada'" in personaplug("persona", "forget", "--store", path, "ada", "--yes").stderr


@pytest.fixture
def runs(tmp_path):
    """A folder with a report, an adapter, a written profile and a log."""
    runs = tmp_path / "runs"
    for own in (AdapterFolder(runs / "lora" / "adapters").folder_of("ada"), runs / "profiles" / folder_of("ada")):
        own.mkdir(parents=True)
        (own / "record.json").write_text('{"user_id": "ada"}')
    (runs / "report.json").write_text(json.dumps({"answers": [{"user_id": "ada", "input": SECRET}]}))
    (runs / "other.json").write_text(json.dumps({"answers": [{"user_id": "eve"}]}))
    return runs


def test_forget_names_what_else_holds_the_user_and_touches_nothing(personaplug, path, runs):
    result = personaplug("persona", "forget", "--store", path, "ada", "--yes", "--also", runs)
    assert f"{runs}/report.json: the user's id and 1 of the user's texts" in result.stdout
    assert result.stdout.count("the user's own folder") == 2
    assert "other.json" not in result.stdout
    assert len(list(runs.rglob("*.json"))) == 4


def test_forget_removes_the_users_own_folders_where_it_is_asked_to(personaplug, path, runs):
    words = ("persona", "forget", "--store", path, "ada", "--yes", "--also", runs, "--remove")
    told = json.loads(personaplug(*words, "--json").stdout)
    assert [copy["is_removed"] for copy in told["copies"]] == [True, True, False]
    assert sorted(each.name for each in runs.rglob("*.json")) == ["other.json", "report.json"]
    again = personaplug(*words)
    assert "of ada there is nothing left" in again.stdout
    assert "report.json: the user's id\n" in again.stdout


def test_the_store_and_its_snapshots_are_no_copies(personaplug, path):
    with PersonaStore.open(path) as store:
        store.snapshot(beside(path))
    result = personaplug("persona", "forget", "--store", path, "ada", "--yes", "--also", path.parent)
    assert result.stdout == f"{path}: forgot ada, 3 items\n"


def test_to_remove_copies_it_must_be_said_where_they_are(personaplug, path):
    assert personaplug("persona", "forget", "--store", path, "ada", "--yes", "--remove").exit_code == 2
