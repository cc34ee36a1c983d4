from __future__ import annotations

import inspect
import logging
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from types import ModuleType, SimpleNamespace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import botocore.session
import pytest
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import EndpointConnectionError
from botocore.hooks import EventAliaser
from botocore.httpsession import URLLib3Session
from botocore.stub import Stubber

from glacier_jobs.errors import AccessDenied, ServiceUnavailable, Throttled
from glacier_jobs.glacier import transport
from glacier_jobs.glacier.transport import PagedListing, call_operation, decoded_json, register_handlers
from glacier_jobs.hooks import GlacierJobsHook
from local_aws.client import Control
from local_aws.http_server import Handler, serving
from tests.conftest import Connect
from tests.versions import stop_clock_of_signatures

PHOTOS = {"accountId": "-", "vaultName": "photos"}

#: The markers of a listing of four pages.
MARKERS = ["a", "x/y+z==", " %&=?#ü€\U0001f600~*'()\n", None]

#: Each request has an id of its own.
ITS_OWN = "amz-sdk-invocation-id"


class Recorder:
    """A Glacier of one endless vault that keeps what it was sent: each request's target and headers, in order."""

    def __init__(self) -> None:
        self.url = ""
        self.requests: list[tuple[str, list[tuple[str, str]]]] = []

    def headers(self, name: str) -> list[str | None]:
        return [{key.lower(): value for key, value in headers}.get(name.lower()) for _, headers in self.requests]


@pytest.fixture
def client(connect: Connect) -> Any:
    return GlacierJobsHook(aws_conn_id=connect()).get_conn()


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    recorder = Recorder()

    class Recording(Handler):
        def respond(self) -> None:
            recorder.requests.append((self.path, self.headers.items()))
            marker = parse_qs(urlsplit(self.path).query).get("marker", [None])[0]
            following = MARKERS[MARKERS.index(marker) + 1] if marker else MARKERS[0]
            self.answer(200, {"JobList": [], "Marker": following})

    with serving(Recording) as recorder.url:
        yield recorder


@pytest.fixture
def stopped_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let all signatures be of one moment, so that equal requests have equal signatures."""
    noon = datetime(2026, 11, 22, 12, tzinfo=timezone.utc)
    stop_clock_of_signatures(monkeypatch, noon)


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return the warnings; Airflow 3.0 also logs that it has found a connection."""
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def client_of(hook: GlacierJobsHook) -> Any:
    return hook.get_conn()


def requests_of_the_client(client: Any) -> list[str]:
    """Count what the client does by itself, from checking the parameters to parsing the answer."""
    made: list[str] = []
    client.meta.events.register("before-call.glacier", lambda model, **_: made.append(model.name))
    return made


def pages_of(hook: GlacierJobsHook, **filters: Any) -> int:
    return sum(1 for _ in hook.list_job_pages("photos", **filters))


@pytest.mark.parametrize(
    ("connection", "config", "filters"),
    [
        ({}, {}, {}),
        ({}, {}, {"statuscode": "Succeeded", "completed": True, "page_size": 7, "account_id": "123456789012"}),
        ({"aws_session_token": "a+token/of=some==length"}, {}, {}),
        ({}, {"user_agent_appid": "mine", "retries": {"mode": "legacy"}}, {}),
        ({}, {"user_agent": "mine/1", "user_agent_extra": "more/2"}, {}),
        ({"region_name": "eu-central-1"}, {}, {}),
    ],
)
@pytest.mark.usefixtures("stopped_clock")
def test_each_request_is_the_one_that_botocore_makes_byte_for_byte(
    connect: Connect, recorder: Recorder, connection: dict[str, Any], config: dict[str, Any], filters: dict[str, Any]
) -> None:
    conn_id = connect(endpoint_url=recorder.url, **connection)
    client = client_of(GlacierJobsHook(aws_conn_id=conn_id, config=config))
    given = {"accountId": "-", "vaultName": "photos"}
    names = {"statuscode": "statuscode", "page_size": "limit", "completed": "completed", "account_id": "accountId"}
    given |= {names[name]: str(value).lower() if name == "completed" else str(value) for name, value in filters.items()}
    for marker in [None, *MARKERS[:-1]]:
        client.list_jobs(**given, **({"marker": marker} if marker else {}))
    botocores = recorder.requests.copy()
    recorder.requests.clear()

    hook = GlacierJobsHook(aws_conn_id=conn_id, config=config)
    by_client = requests_of_the_client(client_of(hook))
    assert pages_of(hook, **filters) == len(MARKERS)

    assert by_client == ["ListJobs"]
    assert len(recorder.requests) == len(botocores) == len(MARKERS)
    for (target, headers), (botocores_target, botocores_headers) in zip(recorder.requests, botocores, strict=True):
        assert target == botocores_target
        assert [header for header in headers if header[0] != ITS_OWN] == [
            header for header in botocores_headers if header[0] != ITS_OWN
        ]
        assert [name for name, _ in headers] == [name for name, _ in botocores_headers]
    assert len({*recorder.headers(ITS_OWN)}) == len(MARKERS)


def test_pages_go_through_the_proxy_that_is_configured(connect: Connect, recorder: Recorder) -> None:
    conn_id = connect(endpoint_url="http://glacier.test")
    hook = GlacierJobsHook(aws_conn_id=conn_id, config=Config(proxies={"http": recorder.url}))

    assert pages_of(hook) == len(MARKERS)

    assert {target.partition("?")[0] for target, _ in recorder.requests} == {"http://glacier.test/-/vaults/photos/jobs"}


@pytest.mark.parametrize("config", [{"signature_version": UNSIGNED}, {"retries": {"mode": "adaptive"}}])
def test_requests_with_another_signature_or_in_adaptive_mode_are_left_to_the_client(
    connect: Connect, recorder: Recorder, config: dict[str, Any]
) -> None:
    hook = GlacierJobsHook(aws_conn_id=connect(endpoint_url=recorder.url), config=config)
    by_client = requests_of_the_client(client_of(hook))

    assert pages_of(hook) == len(MARKERS)

    assert by_client == ["ListJobs"] * len(MARKERS)


def test_each_page_is_signed_with_the_current_credentials(recorder: Recorder) -> None:
    session = botocore.session.Session()
    session.set_credentials("KEY1", "secret", "token1")
    client = session.create_client("glacier", region_name="us-east-1", endpoint_url=recorder.url)
    register_handlers(client)
    listing = PagedListing("list_jobs", {"accountId": "-", "vaultName": "photos"}, decoded_json)

    marker = listing.page(client, None)["Marker"]
    credentials: Any = session.get_credentials()
    credentials.access_key, credentials.token = "KEY2", "token2"
    listing.page(client, marker)

    assert [value and value.split("Credential=")[1][:4] for value in recorder.headers("Authorization")] == [
        "KEY1",
        "KEY2",
    ]
    assert recorder.headers("X-Amz-Security-Token") == ["token1", "token2"]


def test_handlers_of_the_clients_events_are_called_for_each_page(connect: Connect, recorder: Recorder) -> None:
    hook = GlacierJobsHook(aws_conn_id=connect(endpoint_url=recorder.url))
    heard: list[str] = []
    for event in ("before-sign", "before-send", "after-call"):
        client_of(hook).meta.events.register(f"{event}.glacier", lambda event_name, **_: heard.append(event_name))

    pages_of(hook)

    assert heard == [f"{event}.glacier.ListJobs" for event in ("before-sign", "before-send", "after-call")] * len(
        MARKERS
    )


@pytest.mark.parametrize("error", [KeyError("mine"), AttributeError("mine"), TypeError("mine"), LookupError("mine")])
@pytest.mark.parametrize("event", ["before-send", "after-call"])
def test_what_a_handler_raises_at_a_further_page_is_raised_as_botocore_raises_it(
    connect: Connect, recorder: Recorder, caplog: pytest.LogCaptureFixture, event: str, error: Exception
) -> None:
    hook = GlacierJobsHook(aws_conn_id=connect(endpoint_url=recorder.url))
    heard: list[str] = []

    def handler(event_name: str, **_: Any) -> None:
        heard.append(event_name)
        if len(heard) == 3:
            raise error

    client_of(hook).meta.events.register(f"{event}.glacier", handler)
    by_client = requests_of_the_client(client_of(hook))
    pages = hook.list_job_pages("photos")
    next(pages), next(pages)

    with pytest.raises(type(error), match="mine"):
        next(pages)

    assert len(recorder.requests) == {"before-send": 2, "after-call": 3}[event]
    by_client.clear()
    assert pages_of(hook) == len(MARKERS)
    assert by_client == ["ListJobs"]
    assert warnings_of(caplog) == []


@pytest.mark.parametrize("error", [KeyError("expiry"), AttributeError("token")])
def test_what_a_source_of_credentials_raises_once_affects_one_listing_only(
    recorder: Recorder, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    session = botocore.session.Session()
    session.set_credentials("KEY1", "secret")
    client = session.create_client("glacier", region_name="us-east-1", endpoint_url=recorder.url)
    register_handlers(client)
    by_client = requests_of_the_client(client)
    credentials: Any = session.get_credentials()
    frozen = credentials.get_frozen_credentials
    asked: list[int] = []

    def refreshed() -> Any:
        asked.append(1)
        if len(asked) == 2:
            raise error
        return frozen()

    credentials.get_frozen_credentials = refreshed

    assert pages_of_listing(client) == len(MARKERS)

    assert len(recorder.requests) == len(MARKERS)
    assert by_client == ["ListJobs"] * len(MARKERS)
    assert ["could not be signed" in message for message in warnings_of(caplog)] == [True]
    assert pages_of_listing(client) == len(MARKERS)
    assert by_client == ["ListJobs"] * (len(MARKERS) + 1)


def pages_of_listing(client: Any) -> int:
    listing = PagedListing("list_jobs", PHOTOS, decoded_json)
    marker, pages = None, 0
    while pages == 0 or marker is not None:
        marker, pages = listing.page(client, marker)["Marker"], pages + 1
    return pages


def test_a_signer_that_does_not_accept_the_requests_is_used_by_the_client_only(
    connect: Connect, recorder: Recorder, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    hook = GlacierJobsHook(aws_conn_id=connect(endpoint_url=recorder.url))
    by_client = requests_of_the_client(client_of(hook))
    add_auth: Any = botocore.auth.SigV4Auth.add_auth

    def needs_a_request_of_the_client(self: Any, request: Any) -> None:
        if not is_called_by_a_client():
            raise AttributeError("new in this version")
        add_auth(self, request)

    monkeypatch.setattr(botocore.auth.SigV4Auth, "add_auth", needs_a_request_of_the_client)

    assert pages_of(hook) == len(MARKERS)

    assert by_client == ["ListJobs"] * len(MARKERS)
    assert ["could not be signed" in message for message in warnings_of(caplog)] == [True]


def test_handlers_and_sessions_see_the_requests_of_all_pages_as_botocores(
    connect: Connect, recorder: Recorder, caplog: pytest.LogCaptureFixture
) -> None:
    hook = GlacierJobsHook(aws_conn_id=connect(endpoint_url=recorder.url))
    seen: list[Any] = []

    def handler(request: Any, **_: Any) -> None:
        context = request.context.keys() if hasattr(request, "context") else None
        seen.append(
            (type(request), request.headers["x-amz-date"] is not None, "USER-AGENT" in request.headers, context)
        )

    by_client = requests_of_the_client(client_of(hook))
    client_of(hook).meta.events.register("before-send.glacier", handler)

    assert pages_of(hook) == len(MARKERS)

    assert len(seen) == len(MARKERS)
    assert [each[:3] for each in seen] == [seen[0][:3]] * len(MARKERS)
    # Before botocore 1.40, a prepared request has no context; those of further pages have one.
    assert seen[0][3] in (None, seen[1][3])
    assert [each[3] for each in seen[1:]] == [seen[1][3]] * (len(MARKERS) - 1)
    assert by_client == ["ListJobs"]
    assert warnings_of(caplog) == []


@pytest.mark.parametrize(
    ("fault", "error", "message", "requests"),
    [
        ("throttling", Throttled, "attempt 3", 3),
        ("service_unavailable", ServiceUnavailable, "attempt 3", 3),
        ("dropped_connection", ServiceUnavailable, "after all attempts", 3),
        ("not_json", ServiceUnavailable, "not JSON", 3),
        ("access_denied", AccessDenied, "glacier:ListJobs", 1),
    ],
)
@pytest.mark.usefixtures("no_backoff")
def test_a_further_page_that_fails_is_requested_as_often_as_botocore_retries(
    connect: Connect, local_aws: Control, fault: str, error: type[Exception], message: str, requests: int
) -> None:
    local_aws.add_jobs("photos", [{"JobId": f"job-{number}"} for number in range(3)])
    local_aws.fault(fault, skip=1)
    pages = GlacierJobsHook(aws_conn_id=connect(attempts=3)).list_job_pages("photos", page_size=1)
    next(pages)

    with pytest.raises(error, match=message):
        next(pages)

    assert local_aws.calls().by_operation["ListJobs"] == 1 + requests


@pytest.mark.usefixtures("no_backoff")
def test_after_a_page_that_failed_the_listing_continues_as_before(connect: Connect, local_aws: Control) -> None:
    local_aws.add_jobs("photos", [{"JobId": f"job-{number}"} for number in range(8)])
    local_aws.fault("throttling", skip=2, count=2)
    hook = GlacierJobsHook(aws_conn_id=connect())
    by_client = requests_of_the_client(client_of(hook))

    jobs = [job["JobId"] for page in hook.list_job_pages("photos", page_size=1) for job in page.jobs]

    assert jobs == [f"job-{number}" for number in range(8)]
    assert len(by_client) == 2


def test_an_answer_shows_how_it_was_requested(client: Any, local_aws: Control) -> None:
    local_aws.add_vaults("photos")

    sent = call_operation(client, "list_jobs", PHOTOS).sent

    assert sent is not None
    assert sent.operation.name == "ListJobs"
    assert sent.request.url == f"{local_aws.endpoint}/-/vaults/photos/jobs"


def test_an_answer_of_a_stubbed_client_was_not_sent(client: Any) -> None:
    with Stubber(client) as stubber:
        stubber.add_response("list_jobs", {"JobList": []}, PHOTOS)

        answer = call_operation(client, "list_jobs", PHOTOS)

    assert answer.content["JobList"] == []
    assert answer.sent is None


@pytest.mark.usefixtures("no_backoff")
def test_an_attempt_that_failed_before_is_botocores_first(client: Any, local_aws: Control) -> None:
    local_aws.add_jobs("photos", [{"JobId": "a"}])
    failed = EndpointConnectionError(endpoint_url=local_aws.endpoint)

    answer = call_operation(client, "list_jobs", PHOTOS, outcome=failed)

    assert [job["JobId"] for job in answer.content["JobList"]] == ["a"]
    assert local_aws.calls().by_operation["ListJobs"] == 1


def _lose_the_classes_of_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "botocore.awsrequest", ModuleType("botocore.awsrequest"))


def _lose_an_event(monkeypatch: pytest.MonkeyPatch) -> None:
    emit: Any = EventAliaser.emit
    monkeypatch.setattr(
        EventAliaser,
        "emit",
        lambda self, name, **event: [] if name.startswith("needs-retry") else emit(self, name, **event),
    )


def _lose_the_method_of_the_signer(monkeypatch: pytest.MonkeyPatch) -> None:
    _replace_in_event(monkeypatch, "before-sign", request_signer=object())


def _change_the_arguments_of_the_session(monkeypatch: pytest.MonkeyPatch) -> None:
    session = SimpleNamespace(send=lambda: None)
    _replace_in_event(monkeypatch, "needs-retry", endpoint=SimpleNamespace(http_session=session))


def _lose_the_context_of_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    _replace_in_event(monkeypatch, "before-sign", request=object())


def _change_the_answers_of_the_session(monkeypatch: pytest.MonkeyPatch) -> None:
    send: Any = URLLib3Session.send

    def sent(self: Any, request: Any) -> Any:
        answer = send(self, request)
        return answer if is_called_by_a_client() else SimpleNamespace(status=answer.status_code, data=answer.content)

    monkeypatch.setattr(URLLib3Session, "send", sent)


def is_called_by_a_client() -> bool:
    return any(frame.function == "make_request" for frame in inspect.stack(0))


def _replace_in_event(monkeypatch: pytest.MonkeyPatch, prefix: str, **replaced: Any) -> None:
    emit: Any = EventAliaser.emit

    def emit_replaced(self: Any, name: str, **event: Any) -> Any:
        return emit(self, name, **(event | replaced if name.startswith(prefix) else event))

    monkeypatch.setattr(EventAliaser, "emit", emit_replaced)


@pytest.mark.parametrize(
    "change",
    [
        _lose_the_classes_of_requests,
        _lose_an_event,
        _lose_the_method_of_the_signer,
        _lose_the_context_of_requests,
        _change_the_arguments_of_the_session,
        _change_the_answers_of_the_session,
    ],
)
def test_if_botocore_is_not_as_expected_the_client_requests_every_page_with_one_warning(
    connect: Connect,
    recorder: Recorder,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    change: Callable[[pytest.MonkeyPatch], None],
) -> None:
    monkeypatch.setattr(transport, "_public_methods_only", threading.Event())
    hook = GlacierJobsHook(aws_conn_id=connect(endpoint_url=recorder.url))
    by_client = requests_of_the_client(client_of(hook))
    change(monkeypatch)

    with caplog.at_level(logging.WARNING):
        pages = [pages_of(hook), pages_of(hook)]

    assert pages == [len(MARKERS)] * 2
    assert by_client == ["ListJobs"] * len(MARKERS) * 2
    assert [record.name for record in caplog.records if record.levelno >= logging.WARNING] == [transport.__name__]
    assert "is not as expected" in caplog.text


def test_if_botocore_does_not_show_a_body_its_own_parsed_answer_is_used_with_one_warning(
    client: Any, local_aws: Control, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    local_aws.add_jobs("photos", [{"JobId": "a", "NewField": 1}])
    monkeypatch.setattr(transport, "_bodies_are_lost", threading.Event())
    _replace_in_event(monkeypatch, "before-parse", response_dict={})

    answers = [call_operation(client, "list_jobs", PHOTOS).content for _ in range(2)]

    assert [[job["JobId"] for job in answer["JobList"]] for answer in answers] == [["a"]] * 2
    assert "NewField" not in answers[0]["JobList"][0]
    assert ["fields that it does not know are not recorded" in message for message in warnings_of(caplog)] == [True]


def signing_client(recorder: Recorder, access_key: str) -> Any:
    session = botocore.session.Session()
    session.set_credentials(access_key, "secret")
    client = session.create_client("glacier", region_name="us-east-1", endpoint_url=recorder.url)
    register_handlers(client)
    return client


def test_a_client_that_was_renewed_between_two_pages_makes_the_next_request(recorder: Recorder) -> None:
    listing = PagedListing("list_jobs", PHOTOS, decoded_json)

    marker = listing.page(signing_client(recorder, "KEY1"), None)["Marker"]
    listing.page(signing_client(recorder, "KEY2"), marker)

    used = [value and value.split("Credential=")[1][:4] for value in recorder.headers("Authorization")]
    assert used == ["KEY1", "KEY2"]


def test_a_listing_that_resumes_sends_only_the_marker_of_each_page(recorder: Recorder) -> None:
    client = signing_client(recorder, "KEY1")
    listing = PagedListing("list_jobs", PHOTOS, decoded_json)

    marker = listing.page(client, MARKERS[0])["Marker"]
    listing.page(client, marker)

    sent = [parse_qs(urlsplit(path).query)["marker"] for path, _ in recorder.requests]
    assert sent == [[MARKERS[0]], [MARKERS[1]]]
