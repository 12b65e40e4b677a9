"""The API's own description, against what the API does."""

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from personaplug.serving.api import health_routes as health
from personaplug.serving.api import persona_schemas, schemas
from personaplug.serving.api.app import create_app

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
few = settings(
    max_examples=2,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(scope="module")
def app(server):
    """The server's application; its engine goes on in the server's own loop, so nothing here is answered by a model."""
    return create_app(server.service)


@pytest.fixture(scope="module")
def described(app):
    return app.openapi()


def test_every_operation_says_what_it_is_for_and_who_may(described):
    for path, operations in described["paths"].items():
        for operation in operations.values():
            assert operation["description"]
            assert ("security" in operation) == (path not in ("/healthz", "/readyz"))
            assert "422" not in operation["responses"]


def test_every_body_has_an_example_that_the_schema_takes(described, server, http):
    for path, operations in described["paths"].items():
        if not (body := operations.get("post", {}).get("requestBody")):
            continue
        name = body["content"]["application/json"]["schema"]["$ref"].rsplit("/", 1)[-1]
        example = described["components"]["schemas"][name]["example"]
        if "model" in example:
            example = {**example, "model": "llama"} | ({"max_tokens": 2} if "top" not in example else {})
        response = http.post(path.replace("{user}", "dee"), json=example, headers=server.headers("acme"))
        assert response.status_code in (200, 404), response.text
        assert response.status_code == 200 or response.json()["error"]["code"] == "user_not_found"


def test_every_answer_in_json_has_an_example_that_its_schema_takes(described):
    described_as = described["components"]["schemas"]
    answers = [
        answer
        for path in described["paths"].values()
        for each in path.values()
        for answer in each["responses"].values()
    ]
    named = {
        content["schema"]["$ref"].rsplit("/", 1)[-1]
        for answer in answers
        for kind, content in answer.get("content", {}).items()
        if kind == "application/json"
    }
    assert len(named) >= 9
    for name in named:
        (model,) = [getattr(room, name) for room in (health, persona_schemas, schemas) if hasattr(room, name)]
        assert model.model_validate(described_as[name]["example"], strict=False, extra="forbid")


def test_the_description_is_served_itself(http, described):
    assert http.get("/openapi.json").json() == described


@few
@given(data=st.data())
def test_whatever_is_sent_is_answered_as_described(server, described, data):
    schema = schemathesis.openapi.from_dict(described)
    operations = [result.ok() for result in schema.get_all_operations()]
    assert len(operations) == 12
    for operation in operations:
        case = data.draw(operation.as_strategy())
        if isinstance(case.body, dict) and "model" in case.body:
            case.body |= {"model": "llama", "n": 1} | ({"max_tokens": 3} if "top" not in case.body else {})
        case.headers = {**(case.headers or {}), **server.headers("other")}
        case.call_and_validate(base_url=server.url, checks=CHECKS)
