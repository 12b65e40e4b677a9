"""The Helm chart of ``deploy/``: what Helm makes of it, where there is a Helm."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from personaplug.cli.serve import serve

CHART = Path(__file__).parents[2] / "deploy" / "helm" / "personaplug"
VALUES = sorted((CHART / "ci").glob("*-values.yaml"))


@pytest.fixture(scope="module")
def helm():
    """Run Helm."""
    program = shutil.which("helm")
    if program is None:
        pytest.skip("there is no helm on this machine")

    def run(*words):
        return subprocess.run([program, *words], capture_output=True, text=True, check=False)

    return run


@pytest.fixture(scope="module")
def rendered(helm):
    """Give what Helm makes of values, by kind."""

    def render(values):
        made = helm("template", "shop", CHART, "-f", values)
        assert made.returncode == 0, made.stderr
        return {each["kind"]: each for each in yaml.safe_load_all(made.stdout)}

    return render


@pytest.mark.parametrize("values", VALUES, ids=lambda path: path.stem)
def test_helm_finds_no_fault_and_the_pods_start_a_command_that_there_is(helm, rendered, values):
    linted = helm("lint", "--strict", CHART, "-f", values)
    assert linted.returncode == 0, linted.stdout
    made = rendered(values)
    (container,) = made["Deployment"]["spec"]["template"]["spec"]["containers"]
    command, *words = container["args"]
    told = serve.make_context("serve", words).params
    assert (command, told["engine"]) == ("serve", "vllm" if "vllm" in values.stem else "local")
    assert (made["Service"]["spec"]["selector"].items()) <= made["Deployment"]["spec"]["template"]["metadata"][
        "labels"
    ].items()
    mounted = {each["name"] for each in container["volumeMounts"]}
    assert mounted == {each["name"] for each in made["Deployment"]["spec"]["template"]["spec"]["volumes"]}


def test_three_replicas_get_questions_while_ready_and_are_killed_only_when_dead(rendered):
    made = rendered(VALUES[0])["Deployment"]["spec"]
    (container,) = made["template"]["spec"]["containers"]
    assert made["replicas"] == 3
    assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"
    assert container["livenessProbe"]["httpGet"]["path"] == "/healthz"


def test_what_is_not_given_is_asked_for(helm):
    made = helm("template", "shop", CHART)
    assert made.returncode != 0
    assert "give " in made.stderr


@pytest.mark.parametrize(
    "wrong", ["store.address=postgresql://ada:word@db/x", "replicas=0", "vllm.url=vllm:8000", "runs.claim=x"]
)
def test_a_value_that_cannot_be_meant_is_refused(helm, wrong):
    assert helm("template", "shop", CHART, "-f", VALUES[0]).returncode == 0
    assert helm("template", "shop", CHART, "-f", VALUES[0], "--set", wrong).returncode != 0


def test_every_value_stands_in_the_schema():
    values = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
    schema = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
    assert set(values) == set(schema["properties"]) - {"global"}
    for name, value in values.items():
        if fields := schema["properties"][name].get("properties"):
            assert set(value) == set(fields), name
