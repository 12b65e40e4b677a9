"""The compose file of ``deploy/`` and what stands beside it fit each other, and the command that they start."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from personaplug.cli.serve import serve

DEPLOY = Path(__file__).parents[2] / "deploy"
REPLICAS = ["replica-1", "replica-2", "replica-3"]


@pytest.fixture(scope="module")
def services():
    return yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))["services"]


def text_of(name):
    return (DEPLOY / name).read_text(encoding="utf-8")


def test_each_replica_starts_a_command_that_there_is(services):
    for name in REPLICAS:
        command, *words = services[name]["command"].split()
        assert command == "serve"
        assert serve.make_context("serve", words).params["engine"] == "vllm"


def test_the_proxy_is_told_all_that_its_configuration_asks_for_and_leads_to_the_replicas(services):
    told = services["proxy"]["environment"]
    assert set(told) == set(re.findall(r"PERSONAPLUG_(?:BIND|REPLICA_\d)", text_of("haproxy.cfg")))
    assert sorted(value for name, value in told.items() if "REPLICA" in name) == [f"{name}:8000" for name in REPLICAS]


def test_prometheus_asks_each_replica(services):
    (job,) = yaml.safe_load(text_of("prometheus.yml"))["scrape_configs"]
    assert job["static_configs"] == [{"targets": [f"{name}:8000" for name in REPLICAS]}]
    assert job["authorization"]["credentials_file"] == services["prometheus"]["secrets"][0]["target"]


def test_grafana_finds_its_board_and_the_source_of_its_numbers(services):
    (provider,) = yaml.safe_load(text_of("grafana/provisioning/dashboards/personaplug.yaml"))["providers"]
    assert f"./grafana/dashboards:{provider['options']['path']}:ro" in services["grafana"]["volumes"]
    (source,) = yaml.safe_load(text_of("grafana/provisioning/datasources/prometheus.yaml"))["datasources"]
    board = yaml.safe_load(text_of("grafana/dashboards/personaplug.json"))
    assert {panel["datasource"]["uid"] for panel in board["panels"]} == {source["uid"]}


def test_what_the_compose_file_must_be_given_stands_in_the_example():
    asked = set(re.findall(r"\$\{(\w+):\?", text_of("compose.yaml")))
    assert asked == set(re.findall(r"^(\w+)=", text_of("env.example"), re.MULTILINE))


def test_compose_takes_the_file(tmp_path):
    compose = shutil.which("docker-compose")
    if compose is None:
        pytest.skip("there is no docker-compose on this machine")
    given = tmp_path / "env"
    given.write_text(re.sub(r"^(\w+)=$", r"\1=word", text_of("env.example"), flags=re.MULTILINE))
    words = [compose, "--env-file", given, "-f", DEPLOY / "compose.yaml", "config", "--quiet"]
    checked = subprocess.run(words, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr


def test_the_proxy_takes_its_configuration():
    haproxy = shutil.which("haproxy") or shutil.which("/usr/sbin/haproxy")
    if haproxy is None:
        pytest.skip("there is no haproxy on this machine: apt install haproxy")
    told = {f"PERSONAPLUG_REPLICA_{at}": f"127.0.0.1:{at}" for at in (1, 2, 3)} | {"PERSONAPLUG_BIND": "127.0.0.1:8000"}
    words = [haproxy, "-c", "-f", DEPLOY / "haproxy.cfg"]
    checked = subprocess.run(words, capture_output=True, text=True, env=told, check=False)
    assert checked.returncode == 0, checked.stderr
