from __future__ import annotations

import logging
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.httpsession import URLLib3Session

from glacier_jobs.errors import ServiceUnavailable
from glacier_jobs.glacier import deadlines
from glacier_jobs.glacier.client import DEFAULT_ANSWER_SECONDS, RetryPolicy
from glacier_jobs.glacier.deadlines import Cancellation, Cancelled, pause
from glacier_jobs.hooks import GlacierJobsHook
from local_aws.client import Control
from local_aws.http_server import Handler, serving
from tests.conftest import Connect

ONCE = RetryPolicy(attempts=1, seconds=0.0, answer_timeout_seconds=1.0)


class Dripping(Handler):
    """Sends an answer byte by byte, from a certain byte on, until the client closes the connection."""

    complete = 0
    closes = False

    def respond(self) -> None:
        connection = b"Connection: close\r\n" if self.closes else b""
        answer = b"HTTP/1.1 200 OK\r\n" + connection + b"Content-Length: 999\r\n\r\n" + b"[" * 999
        self.close_connection = True
        try:
            self.wfile.write(answer[: self.complete])
            for position in range(self.complete, len(answer)):
                self.wfile.write(answer[position : position + 1])
                self.connection.settimeout(0.5)
                self.wait_for_the_end_of_the_connection()
        except OSError:
            return

    def wait_for_the_end_of_the_connection(self) -> None:
        try:
            if not self.connection.recv(1):
                raise ConnectionError
        except TimeoutError:
            return


def client_of(hook: GlacierJobsHook) -> Any:
    return hook.get_conn()


@contextmanager
def ended_within(seconds: float) -> Iterator[None]:
    began = time.monotonic()
    yield
    assert time.monotonic() - began < seconds


@pytest.mark.parametrize("page", [0, 2])
def test_an_answer_that_drips_is_an_error_at_its_deadline(connect: Connect, local_aws: Control, page: int) -> None:
    local_aws.add_jobs("photos", [{"JobId": f"job-{number}"} for number in range(9)])
    local_aws.fault("dripping_body", skip=page)
    hook = GlacierJobsHook(aws_conn_id=connect(attempts=None), retry_policy=ONCE)
    pages = hook.list_job_pages("photos", page_size=1)
    for _ in range(page):
        next(pages)

    with ended_within(8), pytest.raises(ServiceUnavailable, match="was not complete after 1 s"):
        next(pages)


def test_an_answer_that_dripped_is_requested_again(connect: Connect, local_aws: Control) -> None:
    local_aws.add_jobs("photos", [{"JobId": f"job-{number}"} for number in range(9)])
    local_aws.fault("dripping_body", skip=1, count=1)
    policy = RetryPolicy(attempts=2, seconds=0.0, answer_timeout_seconds=1.0)
    hook = GlacierJobsHook(aws_conn_id=connect(attempts=None), retry_policy=policy)

    jobs = [job["JobId"] for page in hook.list_job_pages("photos", page_size=3) for job in page.jobs]

    assert jobs == [f"job-{number}" for number in range(9)]


@pytest.mark.parametrize("complete", [0, 20, 60])
@pytest.mark.parametrize("closes", [False, True])
def test_the_deadline_applies_to_headers_and_to_connections_that_the_server_closes(
    connect: Connect, complete: int, closes: bool
) -> None:
    with serving(type("Bound", (Dripping,), {"complete": complete, "closes": closes})) as url:
        hook = GlacierJobsHook(aws_conn_id=connect(endpoint_url=url, attempts=None), retry_policy=ONCE)

        with ended_within(8), pytest.raises(ServiceUnavailable, match="was not complete after 1 s"):
            next(hook.list_job_pages("photos"))


def test_the_deadline_applies_to_encrypted_connections(connect: Connect, tmp_path: Path) -> None:
    with serving_tls(type("Bound", (Dripping,), {"complete": 60}), tmp_path) as url:
        hook = GlacierJobsHook(
            aws_conn_id=connect(endpoint_url=url, attempts=None), retry_policy=ONCE, verify=str(tmp_path / "tls.pem")
        )

        with ended_within(8), pytest.raises(ServiceUnavailable, match="was not complete after 1 s"):
            next(hook.list_job_pages("photos"))


@pytest.mark.parametrize("extra", [{}, {"role_arn": "arn:aws:iam::123456789012:role/reader"}])
def test_the_deadline_applies_to_requests_to_sts(connect: Connect, extra: dict[str, str]) -> None:
    with serving(type("DrippingSts", (Dripping,), {"complete": 60})) as url:
        sts = {"sts": {"endpoint_url": url}}
        hook = GlacierJobsHook(aws_conn_id=connect(attempts=1, service_config=sts, **extra), retry_policy=ONCE)

        with ended_within(8), pytest.raises(ServiceUnavailable, match="was not complete after 1 s"):
            _ = hook.account_id


@contextmanager
def serving_tls(handler: type[Handler], folder: Path) -> Iterator[str]:
    """Serve with TLS and a new certificate, which is in ``tls.pem``."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(write_certificate(folder / "tls.pem"))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield f"https://localhost:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def write_certificate(file: Path) -> Path:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(timezone.utc)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    file.write_bytes(private + certificate.public_bytes(pem))
    return file


def test_the_default_is_five_minutes_for_each_answer() -> None:
    assert RetryPolicy(attempts=1, seconds=0.0).answer_timeout_seconds == DEFAULT_ANSWER_SECONDS == 300.0


def test_the_requests_of_a_client_that_a_user_gets_have_botocores_time_outs_only(
    connect: Connect, local_aws: Control
) -> None:
    local_aws.add_vaults("photos")
    local_aws.fault("latency", seconds=2.5)
    hook = GlacierJobsHook(aws_conn_id=connect(), retry_policy=ONCE)

    assert client_of(hook).list_jobs(vaultName="photos")["JobList"] == []


@pytest.mark.parametrize("fault", [{"kind": "dripping_body"}, {"kind": "latency", "seconds": 60}])
@pytest.mark.parametrize("page", [0, 2])
def test_a_cancellation_ends_the_requests_of_its_threads_and_all_later_ones(
    connect: Connect, local_aws: Control, fault: dict[str, Any], page: int
) -> None:
    local_aws.add_jobs("photos", [{"JobId": f"job-{number}"} for number in range(9)])
    hook = GlacierJobsHook(aws_conn_id=connect(attempts=None))
    pages = hook.list_job_pages("photos", page_size=1)
    for _ in range(page):
        next(pages)
    local_aws.fault(**fault)
    local_aws.reset_calls()
    cancellation = Cancellation()

    thread, outcome = in_a_thread(lambda: next(pages), cancellation)
    until(lambda: local_aws.calls().by_operation.get("ListJobs") == 1)
    with ended_within(8):
        cancellation.cancel()
        thread.join()

    assert [type(each) for each in outcome] == [Cancelled]
    with cancellation.applied(), pytest.raises(Cancelled):
        next(hook.list_job_pages("photos"))
    assert local_aws.calls().by_operation["ListJobs"] == 1
    local_aws.clear_faults()
    assert len(list(hook.list_jobs("photos"))) == 9


def test_a_cancellation_leaves_the_requests_of_other_threads(connect: Connect, local_aws: Control) -> None:
    local_aws.add_jobs("photos", [{"JobId": "a"}])
    local_aws.fault("crowd", size=2, seconds=30.0)
    hook = GlacierJobsHook(aws_conn_id=connect())
    cancelled, other = Cancellation(), Cancellation()
    local_aws.reset_calls()
    thread, outcome = in_a_thread(lambda: list(hook.list_jobs("photos")), other)
    until(lambda: local_aws.calls().in_flight == 1)

    cancelled.cancel()
    jobs = list(hook.list_jobs("photos"))
    thread.join()

    assert [job["JobId"] for job in jobs] == ["a"]
    assert [[job["JobId"] for job in each] for each in outcome] == [["a"]]


def in_a_thread(work: Callable[[], Any], cancellation: Cancellation) -> tuple[threading.Thread, list[Any]]:
    outcome: list[Any] = []

    def run() -> None:
        with cancellation.applied():
            try:
                outcome.append(work())
            except Exception as error:
                outcome.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread, outcome


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_cancellation_ends_the_pause_before_the_next_attempt() -> None:
    cancellation = Cancellation()
    thread, outcome = in_a_thread(lambda: pause(60), cancellation)

    with ended_within(8):
        cancellation.cancel()
        thread.join()

    assert [type(each) for each in outcome] == [Cancelled]


def test_the_thread_that_ends_requests_ends_when_no_answer_is_awaited(connect: Connect, local_aws: Control) -> None:
    local_aws.add_vaults("photos")

    list(GlacierJobsHook(aws_conn_id=connect()).list_jobs("photos"))

    until(lambda: not any(thread.name == "end-requests" for thread in threading.enumerate()))


def test_if_botocore_is_not_as_expected_requests_work_without_a_deadline_and_one_warning_says_so(
    connect: Connect, local_aws: Control, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    local_aws.add_vaults("photos")
    monkeypatch.setattr(deadlines, "_warned", threading.Event())
    init: Any = URLLib3Session.__init__

    def without_pool_classes(self: Any, *args: Any, **kwargs: Any) -> None:
        init(self, *args, **kwargs)
        del self._pool_classes_by_scheme

    monkeypatch.setattr(URLLib3Session, "__init__", without_pool_classes)
    conn_id = connect()

    with caplog.at_level(logging.WARNING):
        jobs = [list(GlacierJobsHook(aws_conn_id=conn_id).list_jobs("photos")) for _ in range(2)]

    assert jobs == [[], []]
    assert ["An answer has no deadline as a whole" in message for message in caplog.messages] == [True]


def test_without_a_thread_requests_work_without_a_deadline_until_one_can_be_started(
    connect: Connect, local_aws: Control, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    local_aws.add_vaults("photos")
    monkeypatch.setattr(deadlines, "_warned_of_threads", threading.Event())
    until(lambda: not any(thread.name == "end-requests" for thread in threading.enumerate()))
    start = threading.Thread.start

    def refused(thread: threading.Thread) -> None:
        if thread.name == "end-requests":
            raise RuntimeError("can't start new thread")
        start(thread)

    hook = GlacierJobsHook(aws_conn_id=connect(attempts=None), retry_policy=ONCE)
    with monkeypatch.context() as patched, caplog.at_level(logging.WARNING):
        patched.setattr(threading.Thread, "start", refused)
        assert [list(hook.list_jobs("photos")) for _ in range(2)] == [[], []]
    local_aws.fault("dripping_body")

    assert ["can't start new thread" in message for message in caplog.messages] == [True]
    with ended_within(8), pytest.raises(ServiceUnavailable, match="was not complete after 1 s"):
        list(hook.list_jobs("photos"))


def test_other_clients_are_not_changed(local_aws: Control) -> None:
    client: Any = boto3.client("glacier", config=Config(), **local_aws.boto3_arguments())

    assert "send" not in vars(client._endpoint.http_session)
