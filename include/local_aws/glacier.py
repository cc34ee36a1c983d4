"""Glacier's operations: from a request to its answer.

Source: Amazon Glacier API 2012-06-01.
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from secrets import token_urlsafe
from urllib.parse import parse_qsl, unquote

from moto.iam.models import get_account_id_from

from local_aws import errors, faults, outputs, paging, signing, tree_hash
from local_aws.archives import Archive, Content
from local_aws.calls import Call
from local_aws.errors import AwsError
from local_aws.faults import Struck
from local_aws.initiation import initiated
from local_aws.jobs import STATUS_CODES
from local_aws.shelves import Filter, encoded
from local_aws.store import MAX_VAULTS, Realm, Vault, is_vault_name
from local_aws.world import World, new_archive_id, new_job_id

_API_VERSION = "2012-06-01"
_ACCOUNT_ID = re.compile(r"\d{12}")
_JSON = ("Content-Type", "application/json")
_PROXY_PAGE = b"<html><body><h1>Please sign in to the network</h1></body></html>"


@dataclass(kw_only=True)
class Answer:
    """An HTTP answer, and what the wire makes of it."""

    status: int
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""
    stream: Iterable[bytes] | None = None
    """The body in pieces, where it is too large to be held."""
    stream_size_in_bytes: int = 0
    truncated: bool = False
    """Close the connection in the middle of the body."""
    dropped: bool = False
    """Close the connection instead of answering."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """An HTTP request, with its header names in lower case."""

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
    """The service: it answers requests from a world, and changes it.

    :param obey: carries out a command of the control, for the hooks that wait for a call.
    """

    def __init__(self, world: World, obey: Callable[[str, Mapping[str, object]], object]) -> None:
        self._world = world
        self._obey = obey
        self._operations: Mapping[str, Callable[[Call, Struck], Answer]] = {
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

    def answer(self, request: Request) -> Answer:
        """The answer to a request, errors included."""
        try:
            call = _call_of(request)
        except AwsError as error:
            return _finished(_error_answer(error))
        world = self._world
        era = world.calls.arrive(call)
        try:
            with world.lock:
                struck = world.faults.strike(call)
            answer = self._answer_struck(call, struck, era) if struck else self._answer_call(call, struck)
        finally:
            world.calls.leave(era)
        return _finished(answer)

    def _answer_struck(self, call: Call, struck: Struck, era: int) -> Answer:
        calls = self._world.calls
        if "latency" in struck:
            calls.pause(era, struck["latency"]["seconds"])
        if "crowd" in struck:
            calls.wait_for_crowd(era, struck["crowd"]["size"], struck["crowd"]["seconds"])
        drop = struck.get("dropped_connection")
        if calls.is_over(era) or (drop is not None and not drop["after_effect"]):
            return Answer(status=0, dropped=True)
        error = faults.error_of(struck, call)
        answer = _error_answer(error) if error is not None else self._answer_call(call, struck)
        if "not_json" in struck:
            answer = Answer(status=200, headers=[("Content-Type", "text/html")], body=_PROXY_PAGE)
        if "cut_json" in struck:
            answer.body = answer.body[: len(answer.body) // 2]
        answer.dropped = drop is not None
        answer.truncated = "truncated_body" in struck
        return answer

    def _answer_call(self, call: Call, struck: Struck) -> Answer:
        world = self._world
        with world.lock:
            try:
                if call.headers.get("x-amz-glacier-version") != _API_VERSION:
                    raise errors.missing_parameter("Required parameter missing: API version")
                answer = self._operations[call.operation](call, struck)
            except AwsError as error:
                answer = _error_answer(error)
            for hook in world.hooks.due(call):
                self._obey(hook.command, hook.arguments)
        return answer

    def _vault(self, call: Call) -> Vault:
        name = call.vault_name or ""
        vault = self._world.store.vault(call.realm, name)
        if vault is None:
            raise errors.vault_not_found(call.resource if is_vault_name(name) else name)
        return vault

    def _list_vaults(self, call: Call, struck: Struck) -> Answer:
        world = self._world
        limit = _limit(call.query, world.settings.max_vaults_limit)
        marker = call.query.get("marker")
        place = paging.Place()
        if marker:
            prefix = call.realm.vault_arn("")
            if not marker.startswith(prefix) or not is_vault_name(marker[len(prefix) :]):
                raise errors.invalid_parameter(f"Invalid marker: {marker}")
            place = paging.Place(key=(0, marker[len(prefix) :]))
        vaults = world.store.vaults(call.realm)
        names = sorted(vaults)
        page = paging.cut([(0, name) for name in names], place, _page_size(limit, struck))
        following = None if page.following is None else call.realm.vault_arn(page.following.key[1])
        shown = names[page.start : page.end]
        if "empty_page" in struck and not marker and shown:
            following, shown = call.realm.vault_arn(shown[0]), []
        following = self._on_the_trail(call, following, struck)
        now = world.clock.now()
        listed = json.dumps([vaults[name].description(now) for name in shown]).encode()
        return self._page_answer("VaultList", listed, following)

    def _create_vault(self, call: Call, _: Struck) -> Answer:
        world, name = self._world, call.vault_name or ""
        if not is_vault_name(name):
            raise errors.invalid_parameter(f"Invalid vault name: {name}")
        vaults = world.store.vaults(call.realm)
        if name not in vaults:
            if len(vaults) >= MAX_VAULTS:
                raise errors.limit_exceeded(f"The account has {MAX_VAULTS} vaults in {call.realm.region} already")
            vaults[name] = Vault(name=name, arn=call.realm.vault_arn(name), created_at=world.clock.now())
        return Answer(status=201, headers=[("Location", f"/{call.realm.account_id}/vaults/{name}")])

    def _describe_vault(self, call: Call, _: Struck) -> Answer:
        return _json_answer(self._vault(call).description(self._world.clock.now()))

    def _delete_vault(self, call: Call, _: Struck) -> Answer:
        vault = self._vault(call)
        if vault.archives:
            raise errors.invalid_parameter(f"Vault not empty or recently written to: {vault.arn}")
        del self._world.store.vaults(call.realm)[vault.name]
        return Answer(status=204)

    def _list_jobs(self, call: Call, struck: Struck) -> Answer:
        world, settings, query = self._world, self._world.settings, call.query
        limit = _limit(query, settings.max_limit)
        wanted = _filter(query, newest_first=settings.newest_first)
        vault = self._vault(call)
        marker = query.get("marker")
        place = paging.Place()
        if marker:
            try:
                place = paging.place_of(vault.name, marker)
            except ValueError as error:
                raise errors.invalid_parameter(f"Invalid marker: {marker}") from error
        listing = vault.shelf.listing(world.clock.now(), wanted)
        page = paging.cut(
            listing.keys,
            place,
            _page_size(limit, struck),
            empty="empty_page" in struck,
            repeats_job=settings.marker_repeats_job or "repeated_job" in struck,
        )
        following = None if page.following is None else paging.marker_of(vault.name, page.following)
        following = self._on_the_trail(call, following, struck)
        return self._page_answer("JobList", b"[" + listing.page(page.start, page.end) + b"]", following)

    def _page_answer(self, key: str, members: bytes, following: str | None) -> Answer:
        head = b'{"' + key.encode() + b'":' + members
        last_marker = self._world.settings.last_marker
        if following is None and last_marker == "absent":
            return Answer(status=200, headers=[_JSON], body=head + b"}")
        marker = "" if following is None and last_marker == "empty" else following
        return Answer(status=200, headers=[_JSON], body=head + b',"Marker":' + json.dumps(marker).encode() + b"}")

    def _on_the_trail(self, call: Call, following: str | None, struck: Struck) -> str | None:
        """The marker that a page carries: that of the place that follows, but under a cycle one from before."""
        trail = self._world.trail(call.realm, call.vault_name)
        if not call.query.get("marker"):
            trail.clear()
        if "marker_cycle" in struck:
            length = struck["marker_cycle"]["length"]
            if len(trail) >= length:
                following = trail[-length]
        if following is not None:
            trail.append(following)
        return following

    def _initiate_job(self, call: Call, _: Struck) -> Answer:
        world = self._world
        vault = self._vault(call)
        try:
            parameters = json.loads(call.body or b"{}")
        except ValueError as error:
            raise errors.invalid_parameter("The request body is not JSON") from error
        if not isinstance(parameters, dict):
            raise errors.invalid_parameter("The request body is not a JSON object")
        job = initiated(
            parameters,
            vault=vault,
            job_id=new_job_id(),
            now=world.clock.now(),
            settings=world.settings,
            fate=world.next_fate(vault.name),
        )
        vault.living().put([job])
        location = f"/{call.realm.account_id}/vaults/{vault.name}/jobs/{job.job_id}"
        return Answer(status=202, headers=[("Location", location), ("x-amz-job-id", job.job_id)])

    def _describe_job(self, call: Call, _: Struck) -> Answer:
        job_id = call.item_id or ""
        description = self._vault(call).shelf.describe(job_id, self._world.clock.now())
        if description is None:
            raise errors.job_not_found(job_id)
        return Answer(status=200, headers=[_JSON], body=encoded(description))

    def _get_job_output(self, call: Call, _: Struck) -> Answer:
        vault, now = self._vault(call), self._world.clock.now()
        job = vault.shelf.find(call.item_id or "")
        if job is None or not job.is_known(now):
            raise errors.job_not_found(call.item_id or "")
        part = outputs.part_of(outputs.output_of(job, vault, now), call.headers.get("range"))
        return Answer(
            status=part.status, headers=list(part.headers), stream=part.body, stream_size_in_bytes=part.size_in_bytes
        )

    def _upload_archive(self, call: Call, _: Struck) -> Answer:
        world, vault = self._world, self._vault(call)
        if not call.body:
            raise errors.invalid_parameter("Invalid Content-Length: 0")
        description = call.headers.get("x-amz-archive-description", "")
        archive = Archive(
            archive_id=new_archive_id(),
            description=description,
            created_at=world.clock.now(),
            content=Content.of(call.body),
        )
        claimed = call.headers.get("x-amz-sha256-tree-hash")
        found = tree_hash.of_bytes(call.body)
        if claimed is None:
            raise errors.missing_parameter("Required parameter missing: x-amz-sha256-tree-hash")
        if claimed != found:
            raise errors.invalid_parameter(f"Checksum mismatch: expected {claimed} but computed {found}")
        vault.archives[archive.archive_id] = archive
        location = f"/{call.realm.account_id}/vaults/{vault.name}/archives/{archive.archive_id}"
        headers = [("Location", location), ("x-amz-archive-id", archive.archive_id), ("x-amz-sha256-tree-hash", found)]
        return Answer(status=201, headers=headers)

    def _delete_archive(self, call: Call, _: Struck) -> Answer:
        # Without an error where there is none: AWS deletes twice without complaint.
        self._vault(call).archives.pop(call.item_id or "", None)
        return Answer(status=204)


def _call_of(request: Request) -> Call:
    """What a request asks for.

    :raises AwsError: it is not signed, or asks for nothing that is served here.
    """
    path, _, query = request.target.partition("?")
    parts = [unquote(part) for part in path.split("/")[1:]]
    is_output = len(parts) == 6 and parts[5] == "output"
    shelf = parts[3] if len(parts) > 3 else ""
    operation = _OPERATIONS.get((request.method, len(parts), shelf))
    if operation is None or parts[1] != "vaults" or (len(parts) == 6 and not is_output):
        raise errors.unknown_operation(request.method, path)
    signer = signing.signer_of(request.headers.get("authorization"))
    account_id = get_account_id_from(signer.access_key) if parts[0] == "-" else parts[0]
    if not _ACCOUNT_ID.fullmatch(account_id):
        raise errors.invalid_parameter(f"Invalid account ID: {account_id}")
    return Call(
        operation=operation,
        realm=Realm(account_id, signer.region),
        access_key=signer.access_key,
        account=parts[0],
        vault_name=parts[2] if len(parts) > 2 else None,
        item_id=parts[4] if len(parts) > 4 else None,
        query=dict(parse_qsl(query, keep_blank_values=True)),
        headers=request.headers,
        body=request.body,
    )


def _limit(query: Mapping[str, str], most: int) -> int:
    text = query.get("limit")
    # Given but empty is as good as not given: the published example of List Vaults sends it so.
    if not text:
        return most
    if not (text.isascii() and text.isdigit()) or not 1 <= int(text) <= most:
        raise errors.invalid_parameter(f"Invalid limit: {text}: an integer from 1 to {most} is expected")
    return int(text)


def _page_size(limit: int, struck: Struck) -> int:
    short = struck.get("short_page")
    return limit if short is None else min(limit, short["size"])


def _filter(query: Mapping[str, str], *, newest_first: bool) -> Filter:
    statuscode, completed = query.get("statuscode"), query.get("completed")
    if statuscode is not None and statuscode not in STATUS_CODES:
        raise errors.invalid_parameter(
            f"Invalid status code: {statuscode}: one of {', '.join(STATUS_CODES)} is expected"
        )
    if completed is not None and completed not in ("true", "false"):
        raise errors.invalid_parameter(f"Invalid completed: {completed}: true or false is expected")
    return Filter(
        statuscode=statuscode, completed=None if completed is None else completed == "true", newest_first=newest_first
    )


def _json_answer(content: object) -> Answer:
    return Answer(status=200, headers=[_JSON], body=json.dumps(content).encode())


def _error_answer(error: AwsError) -> Answer:
    return Answer(status=error.status, headers=[_JSON], body=error.body())


def _finished(answer: Answer) -> Answer:
    answer.headers.append(("x-amzn-RequestId", token_urlsafe(35)))
    return answer
