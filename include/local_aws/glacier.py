"""The operations of the Glacier API.

Source: Amazon Glacier API 2012-06-01.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from secrets import token_urlsafe
from urllib.parse import parse_qsl, unquote

from moto.iam.models import get_account_id_from

from local_aws import errors, faults, outputs, paging, signing, tree_hash
from local_aws.archives import Archive, Content
from local_aws.backend import Backend, new_archive_id, new_job_id
from local_aws.calls import Call
from local_aws.errors import AwsError
from local_aws.faults import ActiveFaults
from local_aws.initiation import create_job
from local_aws.job_stores import JobFilter, encode
from local_aws.jobs import STATUS_CODES
from local_aws.vaults import MAX_VAULTS, AccountRegion, Vault, is_vault_name

_API_VERSION = "2012-06-01"
_ACCOUNT_ID = re.compile(r"\d{12}")
_JSON = ("Content-Type", "application/json")
_PROXY_PAGE = b"<html><body><h1>Please sign in to the network</h1></body></html>"


@dataclass(kw_only=True)
class Response:
    """An HTTP response, and how it is sent."""

    status: int
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""
    stream: Iterable[bytes] | None = None
    """The body in chunks, if it is too large for memory."""
    stream_size_in_bytes: int = 0
    truncated: bool = False
    """Close the connection in the middle of the body."""
    cut_after_bytes: int | None = None
    """Close the connection after this many bytes of a body in chunks; ``None`` sends the whole body."""
    dropped: bool = False
    """Close the connection without a response."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """An HTTP request, with header names in lower case."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes = b""


_OPERATIONS: Mapping[tuple[str, int, str], str] = {
    ("GET", 2, ""): "ListVaults",
    ("PUT", 3, ""): "CreateVault",
    ("GET", 3, ""): "DescribeVault",
    ("DELETE", 3, ""): "DeleteVault",
    ("GET", 4, "jobs"): "ListJobs",
    ("POST", 4, "jobs"): "InitiateJob",
    ("GET", 5, "jobs"): "DescribeJob",
    ("GET", 6, "jobs"): "GetJobOutput",
    ("POST", 4, "archives"): "UploadArchive",
    ("DELETE", 5, "archives"): "DeleteArchive",
}


class Glacier:
    """The Glacier service: reads and changes a backend.

    :param execute: executes a control command, for hooks.
    """

    def __init__(self, backend: Backend, execute: Callable[[str, Mapping[str, object]], object]) -> None:
        self._backend = backend
        self._execute = execute
        self._operations: Mapping[str, Callable[[Call, ActiveFaults], Response]] = {
            "ListVaults": self._list_vaults,
            "CreateVault": self._create_vault,
            "DescribeVault": self._describe_vault,
            "DeleteVault": self._delete_vault,
            "ListJobs": self._list_jobs,
            "InitiateJob": self._initiate_job,
            "DescribeJob": self._describe_job,
            "GetJobOutput": self._get_job_output,
            "UploadArchive": self._upload_archive,
            "DeleteArchive": self._delete_archive,
        }

    def handle(self, request: Request) -> Response:
        """Return the response to a request; errors are responses too."""
        try:
            call = _parse_call(request)
        except AwsError as error:
            return _with_request_id(_error_response(error))
        backend = self._backend
        generation = backend.calls.call_started(call)
        try:
            with backend.lock:
                active_faults = backend.faults.active_for(call)
            response = (
                self._respond_with_faults(call, active_faults, generation)
                if active_faults
                else self._call_response(call, active_faults)
            )
        finally:
            backend.calls.call_ended(generation)
        return _with_request_id(response)

    def _respond_with_faults(self, call: Call, active_faults: ActiveFaults, generation: int) -> Response:
        calls = self._backend.calls
        latency = active_faults.get("latency")
        if latency is not None and not latency["after_effect"]:
            calls.pause(generation, latency["seconds"])
        if "crowd" in active_faults:
            calls.wait_for_concurrency(generation, active_faults["crowd"]["size"], active_faults["crowd"]["seconds"])
        drop = active_faults.get("dropped_connection")
        if calls.is_stale(generation) or (drop is not None and not drop["after_effect"]):
            return Response(status=0, dropped=True)
        fault = faults.error_for(active_faults, call)
        if fault is None or fault.after_effect:
            response = self._call_response(call, active_faults)
        if fault is not None:
            response = _error_response(fault.error)
        if latency is not None and latency["after_effect"]:
            calls.pause(generation, latency["seconds"])
        if "not_json" in active_faults:
            response = Response(status=200, headers=[("Content-Type", "text/html")], body=_PROXY_PAGE)
        if "cut_json" in active_faults:
            response.body = response.body[: len(response.body) // 2]
        if "dripping_body" in active_faults:
            body: Iterable[bytes] = [response.body]
            if response.stream is None:
                response.stream_size_in_bytes = len(response.body)
            else:
                body = response.stream
            response.stream = self._drip(body, generation, active_faults["dripping_body"]["seconds"])
        if "corrupted_body" in active_faults and response.stream is not None:
            response.stream = _corrupted(response.stream, active_faults["corrupted_body"]["position"])
        response.dropped = drop is not None
        response.truncated = "truncated_body" in active_faults
        if "cut_body" in active_faults:
            response.cut_after_bytes = active_faults["cut_body"]["position"]
        return response

    def _drip(self, body: Iterable[bytes], generation: int, seconds: float) -> Iterator[bytes]:
        for chunk in body:
            for position in range(len(chunk)):
                yield chunk[position : position + 1]
                self._backend.calls.pause(generation, seconds)

    def _call_response(self, call: Call, active_faults: ActiveFaults) -> Response:
        backend = self._backend
        with backend.lock:
            try:
                if call.headers.get("x-amz-glacier-version") != _API_VERSION:
                    raise errors.missing_parameter("Required parameter missing: API version")
                response = self._operations[call.operation](call, active_faults)
            except AwsError as error:
                response = _error_response(error)
            for hook in backend.hooks.due(call):
                self._execute(hook.command, hook.arguments)
        return response

    def _vault(self, call: Call) -> Vault:
        name = call.vault_name or ""
        vault = self._backend.vault_store.vault(call.account_region, name)
        if vault is None:
            raise errors.vault_not_found(call.resource if is_vault_name(name) else name)
        return vault

    def _list_vaults(self, call: Call, active_faults: ActiveFaults) -> Response:
        backend = self._backend
        limit = _limit(call.query, backend.settings.max_vaults_limit)
        marker = call.query.get("marker")
        position = paging.Position()
        if marker:
            prefix = call.account_region.vault_arn("")
            if not marker.startswith(prefix) or not is_vault_name(marker[len(prefix) :]):
                raise errors.invalid_parameter(f"Invalid marker: {marker}")
            position = paging.Position(key=(0, marker[len(prefix) :]))
        vaults = backend.vault_store.vaults(call.account_region)
        names = sorted(vaults)
        page = paging.slice_page([(0, name) for name in names], position, _page_size(limit, active_faults))
        next_marker = None if page.next_position is None else call.account_region.vault_arn(page.next_position.key[1])
        shown = names[page.start : page.end]
        if "empty_page" in active_faults and not marker and shown:
            next_marker, shown = call.account_region.vault_arn(shown[0]), []
        next_marker = self._next_marker(call, next_marker, active_faults)
        now = backend.clock.now()
        listed = json.dumps([vaults[name].description(now) for name in shown]).encode()
        return self._page_response("VaultList", listed, next_marker)

    def _create_vault(self, call: Call, _: ActiveFaults) -> Response:
        backend, name = self._backend, call.vault_name or ""
        if not is_vault_name(name):
            raise errors.invalid_parameter(f"Invalid vault name: {name}")
        vaults = backend.vault_store.vaults(call.account_region)
        if name not in vaults:
            if len(vaults) >= MAX_VAULTS:
                raise errors.limit_exceeded(
                    f"The account has {MAX_VAULTS} vaults in {call.account_region.region} already"
                )
            vaults[name] = Vault(name=name, arn=call.account_region.vault_arn(name), created_at=backend.clock.now())
        return Response(status=201, headers=[("Location", f"/{call.account_region.account_id}/vaults/{name}")])

    def _describe_vault(self, call: Call, _: ActiveFaults) -> Response:
        return _json_response(self._vault(call).description(self._backend.clock.now()))

    def _delete_vault(self, call: Call, _: ActiveFaults) -> Response:
        vault = self._vault(call)
        if vault.archives:
            raise errors.invalid_parameter(f"Vault not empty or recently written to: {vault.arn}")
        del self._backend.vault_store.vaults(call.account_region)[vault.name]
        return Response(status=204)

    def _list_jobs(self, call: Call, active_faults: ActiveFaults) -> Response:
        backend, settings, query = self._backend, self._backend.settings, call.query
        limit = _limit(query, settings.max_limit)
        job_filter = _job_filter(query, newest_first=settings.newest_first)
        vault = self._vault(call)
        marker = query.get("marker")
        position = paging.Position()
        if marker:
            try:
                position = paging.parse_marker(vault.name, marker)
            except ValueError as error:
                raise errors.invalid_parameter(f"Invalid marker: {marker}") from error
        listing = vault.job_store.listing(backend.clock.now(), job_filter)
        page = paging.slice_page(
            listing.keys,
            position,
            _page_size(limit, active_faults),
            empty="empty_page" in active_faults,
            repeats_job=settings.marker_repeats_job or "repeated_job" in active_faults,
        )
        next_marker = None if page.next_position is None else paging.make_marker(vault.name, page.next_position)
        next_marker = self._next_marker(call, next_marker, active_faults)
        return self._page_response("JobList", b"[" + listing.page(page.start, page.end) + b"]", next_marker)

    def _page_response(self, key: str, members: bytes, next_marker: str | None) -> Response:
        head = b'{"' + key.encode() + b'":' + members
        last_marker = self._backend.settings.last_marker
        if next_marker is None and last_marker == "absent":
            return Response(status=200, headers=[_JSON], body=head + b"}")
        marker = "" if next_marker is None and last_marker == "empty" else next_marker
        return Response(status=200, headers=[_JSON], body=head + b',"Marker":' + json.dumps(marker).encode() + b"}")

    def _next_marker(self, call: Call, next_marker: str | None, active_faults: ActiveFaults) -> str | None:
        """Return the marker of a page: that of the next page, or an earlier one under the fault ``marker_cycle``."""
        history = self._backend.marker_history(call.account_region, call.vault_name)
        if not call.query.get("marker"):
            history.clear()
        if "marker_cycle" in active_faults:
            length = active_faults["marker_cycle"]["length"]
            if len(history) >= length:
                next_marker = history[-length]
        if next_marker is not None:
            history.append(next_marker)
        return next_marker

    def _initiate_job(self, call: Call, _: ActiveFaults) -> Response:
        backend = self._backend
        vault = self._vault(call)
        try:
            parameters = json.loads(call.body or b"{}")
        except ValueError as error:
            raise errors.invalid_parameter("The request body is not JSON") from error
        if not isinstance(parameters, dict):
            raise errors.invalid_parameter("The request body is not a JSON object")
        job = create_job(
            parameters,
            vault=vault,
            job_id=new_job_id(),
            now=backend.clock.now(),
            settings=backend.settings,
            planned=backend.take_planned_outcome(vault.name),
        )
        vault.mutable_jobs().put([job])
        location = f"/{call.account_region.account_id}/vaults/{vault.name}/jobs/{job.job_id}"
        return Response(status=202, headers=[("Location", location), ("x-amz-job-id", job.job_id)])

    def _describe_job(self, call: Call, _: ActiveFaults) -> Response:
        job_id = call.item_id or ""
        description = self._vault(call).job_store.describe(job_id, self._backend.clock.now())
        if description is None:
            raise errors.job_not_found(job_id)
        return Response(status=200, headers=[_JSON], body=encode(description))

    def _get_job_output(self, call: Call, active_faults: ActiveFaults) -> Response:
        vault, now = self._vault(call), self._backend.clock.now()
        job = vault.job_store.find(call.item_id or "")
        if job is None or not job.is_known(now):
            raise errors.job_not_found(call.item_id or "")
        requested = None if "ignored_range" in active_faults else call.headers.get("range")
        part = outputs.select_range(outputs.job_output(job, vault, now), requested)
        removed = "x-amz-sha256-tree-hash" if "removed_tree_hash" in active_faults else None
        headers = [(name, value) for name, value in part.headers if name != removed]
        return Response(status=part.status, headers=headers, stream=part.body, stream_size_in_bytes=part.size_in_bytes)

    def _upload_archive(self, call: Call, _: ActiveFaults) -> Response:
        backend, vault = self._backend, self._vault(call)
        if not call.body:
            raise errors.invalid_parameter("Invalid Content-Length: 0")
        description = call.headers.get("x-amz-archive-description", "")
        archive = Archive(
            archive_id=new_archive_id(),
            description=description,
            created_at=backend.clock.now(),
            content=Content.of(call.body),
        )
        claimed = call.headers.get("x-amz-sha256-tree-hash")
        found = tree_hash.of_bytes(call.body)
        if claimed is None:
            raise errors.missing_parameter("Required parameter missing: x-amz-sha256-tree-hash")
        if claimed != found:
            raise errors.invalid_parameter(f"Checksum mismatch: expected {claimed} but computed {found}")
        vault.archives[archive.archive_id] = archive
        location = f"/{call.account_region.account_id}/vaults/{vault.name}/archives/{archive.archive_id}"
        headers = [("Location", location), ("x-amz-archive-id", archive.archive_id), ("x-amz-sha256-tree-hash", found)]
        return Response(status=201, headers=headers)

    def _delete_archive(self, call: Call, _: ActiveFaults) -> Response:
        # No error for a missing archive: AWS accepts repeated deletions.
        vault = self._vault(call)
        if vault.archives.pop(call.item_id or "", None) is not None:
            vault.archive_deleted_at = self._backend.clock.now()
        return Response(status=204)


def _parse_call(request: Request) -> Call:
    """Parse a request.

    :raises AwsError: the request is not signed, or matches no implemented operation.
    """
    path, _, query = request.target.partition("?")
    parts = [unquote(part) for part in path.split("/")[1:]]
    is_output = len(parts) == 6 and parts[5] == "output"
    collection = parts[3] if len(parts) > 3 else ""
    operation = _OPERATIONS.get((request.method, len(parts), collection))
    if operation is None or parts[1] != "vaults" or (len(parts) == 6 and not is_output):
        raise errors.unknown_operation(request.method, path)
    scope = signing.parse_authorization(request.headers.get("authorization"))
    account_id = get_account_id_from(scope.access_key) if parts[0] == "-" else parts[0]
    if not _ACCOUNT_ID.fullmatch(account_id):
        raise errors.invalid_parameter(f"Invalid account ID: {account_id}")
    return Call(
        operation=operation,
        account_region=AccountRegion(account_id, scope.region),
        access_key=scope.access_key,
        account=parts[0],
        vault_name=parts[2] if len(parts) > 2 else None,
        item_id=parts[4] if len(parts) > 4 else None,
        query=dict(parse_qsl(query, keep_blank_values=True)),
        headers=request.headers,
        body=request.body,
    )


def _limit(query: Mapping[str, str], maximum: int) -> int:
    text = query.get("limit")
    # An empty limit counts as no limit: the published example of List Vaults sends one.
    if not text:
        return maximum
    if not (text.isascii() and text.isdigit()) or not 1 <= int(text) <= maximum:
        raise errors.invalid_parameter(f"Invalid limit: {text}: an integer from 1 to {maximum} is expected")
    return int(text)


def _page_size(limit: int, active_faults: ActiveFaults) -> int:
    short = active_faults.get("short_page")
    return limit if short is None else min(limit, short["size"])


def _job_filter(query: Mapping[str, str], *, newest_first: bool) -> JobFilter:
    statuscode, completed = query.get("statuscode"), query.get("completed")
    if statuscode is not None and statuscode not in STATUS_CODES:
        raise errors.invalid_parameter(
            f"Invalid status code: {statuscode}: one of {', '.join(STATUS_CODES)} is expected"
        )
    if completed is not None and completed not in ("true", "false"):
        raise errors.invalid_parameter(f"Invalid completed: {completed}: true or false is expected")
    return JobFilter(
        statuscode=statuscode, completed=None if completed is None else completed == "true", newest_first=newest_first
    )


def _corrupted(body: Iterable[bytes], position: int) -> Iterator[bytes]:
    """Change the byte at a position."""
    for chunk in body:
        if 0 <= position < len(chunk):
            yield chunk[:position] + bytes([chunk[position] ^ 1]) + chunk[position + 1 :]
        else:
            yield chunk
        position -= len(chunk)


def _json_response(content: object) -> Response:
    return Response(status=200, headers=[_JSON], body=json.dumps(content).encode())


def _error_response(error: AwsError) -> Response:
    return Response(status=error.status, headers=[_JSON], body=error.body())


def _with_request_id(response: Response) -> Response:
    response.headers.append(("x-amzn-RequestId", token_urlsafe(35)))
    return response
