import pytest
from starlette.testclient import TestClient

from personaplug.errors import ConfigError, StoreError, UnknownUserError
from personaplug.serving.api.access import KeyAccess
from personaplug.serving.api.app import create_app
from personaplug.serving.api.errors import ApiError, as_api_error
from personaplug.serving.api.service import Service
from personaplug.serving.engine.engine import DrainingError, FullQueueError
from personaplug.serving.engine.limits import Limits

SECRET = "what only ada knows"


@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [
        (FullQueueError(7), 429, "rate_limit_error"),
        (DrainingError(), 503, "server_error"),
        (UnknownUserError(SECRET), 404, "invalid_request_error"),
        (StoreError(SECRET), 503, "server_error"),
        (ConfigError(SECRET), 503, "server_error"),
        (RuntimeError(SECRET), 500, "server_error"),
        (ApiError(403, "no", code="missing_right"), 403, "permission_error"),
    ],
)
def test_an_error_has_a_status_and_a_kind_and_none_of_its_own_words(error, status, kind):
    response = as_api_error(error).response
    assert response.status_code == status
    assert f'"type":"{kind}"'.encode() in response.body
    assert SECRET.encode() not in response.body


def test_who_comes_when_the_queue_is_full_is_told_when_to_come_again():
    assert as_api_error(FullQueueError(7)).response.headers["Retry-After"] == "7"


def test_a_key_that_asks_too_often_is_told_when_to_come_again_and_others_are_not(server):
    service = Service(server.service.paths, KeyAccess(server.key_file), limits=Limits(requests_per_minute=2))
    service.engine, service.histories = server.service.engine, server.service.histories
    client = TestClient(create_app(service))
    answers = [client.get("/v1/models", headers=server.headers("acme")) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert 1 <= int(answers[2].headers["Retry-After"]) <= 30
    assert answers[2].json()["error"]["code"] == "rate_limit_exceeded"
    assert client.get("/v1/models", headers=server.headers("other")).status_code == 200
