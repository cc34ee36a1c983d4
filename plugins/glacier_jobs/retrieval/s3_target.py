"""An object in S3 as the place of an output, stored by a multipart upload, or by one PUT if it has one part.

An object in the folder ``.retrieving`` beside the destination names the upload, so that a later run continues it. It
is created before the first part. A part is uploaded only from pieces whose bytes matched AWS's tree hash, and S3
compares a checksum of each part. So a part that S3 lists is verified.

An answer of S3 to the last request may be lost. The object has a random token of its upload as metadata, by which a
later request finds out whether the object at the place is that of the upload.
"""

from __future__ import annotations

import hashlib
import io
import json
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from logging import getLogger
from typing import Any, Final
from urllib.parse import quote

from botocore.exceptions import ClientError

from glacier_jobs.aws_errors.error_mapping import translated
from glacier_jobs.errors import GlacierJobsError, MalformedAnswer, ServiceUnavailable, TargetNotReadable
from glacier_jobs.retrieval.ranges import LARGEST_PIECE_BYTES, STREAMED_PIECE_BYTES, ByteRange
from glacier_jobs.retrieval.source import Fetched, JobSource
from glacier_jobs.retrieval.targets import GoneUpload, Published
from glacier_jobs.retrieval.tree_hash import Node, TreeHasher, cover, of_digests

FOLDER: Final = ".retrieving"

#: CRC32 is computed by zlib at more than 1 GB/s; SHA-256 would need as much time as the tree hash itself, and CRC64NVME
#: a package that is not a requirement of boto3.
_CHECKSUM: Final = "CRC32"

_TOKEN: Final = "glacier-jobs-upload"  # noqa: S105 - a name
_TREE_HASH: Final = "glacier-sha256-tree-hash"
_DESCRIPTION: Final = "glacier-archive-description"

#: The metadata of an object are limited to 2 KB.
_LONGEST_DESCRIPTION: Final = 1_600
_PRINTABLE_ASCII: Final = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) != "%") + " "

#: Objects of these classes must be restored before they can be read.
_ARCHIVE_CLASSES: Final = {"GLACIER", "DEEP_ARCHIVE"}

log = getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class ObjectOptions:
    """How an object is stored; ``None`` for the bucket's defaults."""

    storage_class: str | None = None
    kms_key_id: str | None = None
    expected_bucket_owner: str | None = None

    @property
    def encryption(self) -> dict[str, str]:
        """The arguments of S3 for the encryption."""
        if self.kms_key_id is None:
            return {}
        return {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": self.kms_key_id}

    @property
    def of_object(self) -> dict[str, str]:
        """The arguments of S3 for a new object."""
        return self.encryption | ({} if self.storage_class is None else {"StorageClass": self.storage_class})

    def differences(self, head: Mapping[str, Any]) -> list[str]:
        """Return in words how an object is stored otherwise; a key that is given by its alias equals any other.

        :param head: the answer to HEAD.
        """
        differences = []
        storage_class = head.get("StorageClass", "STANDARD")
        readable = self.storage_class is None and storage_class not in _ARCHIVE_CLASSES
        if not readable and storage_class != self.storage_class:
            differences.append(f"the storage class {storage_class}, not {self.storage_class or 'the default one'}")
        if (asked := self.kms_key_id) is not None:
            key = str(head.get("SSEKMSKeyId"))
            is_alias = "alias/" in asked and head.get("ServerSideEncryption") == "aws:kms"
            if not is_alias and key.rpartition("/")[2] != asked.rpartition("/")[2]:
                differences.append(f"the KMS key {key}, not {asked}")
        return differences


@dataclass(frozen=True, kw_only=True)
class _Upload:
    """What a checkpoint says: a multipart upload, its token, and the arguments of S3 for its object."""

    upload_id: str
    token: str
    of_object: dict[str, str]


class _ExistingObject:
    """The object at the place of an output."""

    def __init__(self, target: S3Target, head: Mapping[str, Any], upload: _Upload | None) -> None:
        self._target = target
        self._head = head
        self._upload = upload
        self.size_in_bytes = int(head["ContentLength"])

    def sha256_tree_hash(self) -> str:
        recorded = self._recorded_tree_hash
        if recorded is not None and self._upload is not None and _token(self._head) == self._upload.token:
            return recorded
        restored = 'ongoing-request="false"' in self._head.get("Restore", "")
        if self._head.get("ArchiveStatus") or (self._head.get("StorageClass") in _ARCHIVE_CLASSES and not restored):
            if recorded is not None:
                return recorded
            raise TargetNotReadable(
                f"{self._target.uri} exists in the storage class {self._head.get('StorageClass')}, so that it cannot "
                "be read and compared. Nothing was changed or restored; use another destination, or replace=True"
            )
        hasher = TreeHasher()
        for start in range(0, self.size_in_bytes, STREAMED_PIECE_BYTES):
            hasher.update(self._read(start, min(start + STREAMED_PIECE_BYTES, self.size_in_bytes) - 1))
        return hasher.hexdigest()

    @property
    def _recorded_tree_hash(self) -> str | None:
        """The tree hash in the metadata: this package creates an object only after its bytes gave this hash."""
        return None if _token(self._head) is None else self._head["Metadata"].get(_TREE_HASH)

    def is_as_asked(self, sha256_tree_hash: str) -> bool:
        """Tell by the metadata whether this is the output, stored as the options say."""
        options = self._target.options
        return self._recorded_tree_hash == sha256_tree_hash and not options.differences(self._head)

    def _read(self, start: int, end: int) -> bytes:
        try:
            with translated(f"Read {self._target.uri}, bytes {start} to {end}"), _conflicts_raised():
                answer = self._target.call("get_object", Range=f"bytes={start}-{end}", IfMatch=self._head["ETag"])
                content: bytes = answer["Body"].read()
        except _Conflict as conflict:
            raise ServiceUnavailable(f"{self._target.uri} was replaced while it was compared; try again") from conflict
        if len(content) != end - start + 1:
            raise ServiceUnavailable(
                f"{self._target.uri}: S3 sent {len(content)} of {end - start + 1} bytes; try again"
            )
        return content


class S3Target:
    """An object that does not exist yet, or is to be replaced.

    :param client: a boto3 client of S3, safe to use from several threads.
    :param uri: the object in messages.
    """

    def __init__(self, client: Any, *, bucket: str, key: str, uri: str, options: ObjectOptions) -> None:
        self._client = client
        self._key = key
        self.uri = uri
        self.options = options
        self._common = {"Bucket": bucket}
        if options.expected_bucket_owner is not None:
            self._common["ExpectedBucketOwner"] = options.expected_bucket_owner
        self._checkpoint_key = ""
        self._upload: _Upload | None = None
        self._uploaded: dict[int, dict[str, Any]] = {}
        self._content = b""

    @property
    def checkpoint(self) -> str:
        """The object that names the upload."""
        return f"s3://{self._common['Bucket']}/{self._checkpoint_key}"

    def call(self, method: str, **arguments: Any) -> dict[str, Any]:
        """Make a request for the object, or for another key; errors are botocore's."""
        answer: dict[str, Any] = getattr(self._client, method)(**{**self._common, "Key": self._key, **arguments})
        return answer

    def bytes_in_memory(self, source: JobSource) -> int:
        """Return the size of a part, or of its pieces if it is uploaded while it is fetched."""
        size = source.parts.part_size_in_bytes
        return size if size <= LARGEST_PIECE_BYTES else STREAMED_PIECE_BYTES

    def find(self, source: JobSource) -> _ExistingObject | None:
        """Return the object at the key."""
        head = self._head()
        return None if head is None else _ExistingObject(self, head, self._stored_upload(source))

    def _head(self) -> dict[str, Any] | None:
        with translated(f"Look for {self.uri}"):
            try:
                return self.call("head_object")
            except ClientError as error:
                if _code(error) in ("404", "NoSuchKey", "NotFound"):
                    return None
                raise

    def begin(self, source: JobSource) -> Mapping[Node, Fetched]:
        """Continue the upload that the checkpoint names, or create one, and return its parts."""
        self._uploaded = {}
        self._upload = None
        if source.parts.count == 1:
            return {}
        upload = self._stored_upload(source)
        if upload is not None and upload.of_object != self.options.of_object:
            log.warning("The upload of %s has other options than now; it is aborted and begun anew", self.uri)
            self._abort(upload)
            self._delete_checkpoint(upload)
        elif upload is not None:
            try:
                listed = self._listed(upload, source)
            except GoneUpload:
                self._delete_checkpoint(upload)
            else:
                self._upload = upload
                return self._nodes(source, listed)
        self._upload = self._created(source)
        return {}

    def _stored_upload(self, source: JobSource) -> _Upload | None:
        identity = {**source.identity, "key": self._key, "part_size": source.parts.part_size_in_bytes}
        name = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:32]
        folder, _, _ = self._key.rpartition("/")
        self._checkpoint_key = f"{folder}/{FOLDER}/{name}.json".lstrip("/")
        return self._read_checkpoint()

    def _read_checkpoint(self) -> _Upload | None:
        with translated(f"Read {self.checkpoint}"):
            try:
                content = self.call("get_object", Key=self._checkpoint_key)["Body"].read()
            except ClientError as error:
                if _code(error) == "NoSuchKey":
                    return None
                raise
        try:
            found = json.loads(content)
            return _Upload(upload_id=found["upload_id"], token=found["token"], of_object=found["of_object"])
        except (ValueError, TypeError, KeyError) as error:
            raise MalformedAnswer(
                f"{self.checkpoint} is not a checkpoint of this package ({error}); delete it, and run the task again"
            ) from error

    def _created(self, source: JobSource) -> _Upload:
        token = secrets.token_hex(16)
        with translated(f"Create a multipart upload for {self.uri}"):
            upload_id = self.call(
                "create_multipart_upload",
                ChecksumAlgorithm=_CHECKSUM,
                Metadata=self._metadata(source, token),
                **self.options.of_object,
            )["UploadId"]
        upload = _Upload(upload_id=upload_id, token=token, of_object=self.options.of_object)
        content = {**vars(upload), "destination": self.uri, "output": source.identity}
        try:
            with translated(f"Create {self.checkpoint}, the checkpoint of {self.uri}"), _conflicts_raised():
                self.call(
                    "put_object",
                    Key=self._checkpoint_key,
                    Body=json.dumps(content).encode(),
                    IfNoneMatch="*",
                    ContentType="application/json",
                    **self.options.encryption,
                )
        except _Conflict as conflict:
            stored = self._stored_upload(source)
            if stored == upload:
                # The answer to the request was lost, and the client repeated it.
                return upload
            self._abort(upload)
            raise GoneUpload(f"another process has created {self.checkpoint}") from conflict
        except BaseException:
            self._abort(upload)
            raise
        return upload

    def _metadata(self, source: JobSource, token: str) -> dict[str, str]:
        metadata = {_TOKEN: token}
        if source.sha256_tree_hash is not None:
            metadata[_TREE_HASH] = source.sha256_tree_hash
        if description := source.archive_description():
            text = quote(description, safe=_PRINTABLE_ASCII).strip()
            if len(text) <= _LONGEST_DESCRIPTION:
                metadata[_DESCRIPTION] = text
            else:
                log.info("The archive's description is too long for the metadata of %s", self.uri)
        return metadata

    def _listed(self, upload: _Upload, source: JobSource) -> dict[int, dict[str, Any]]:
        """Return the parts of an upload that have the size which is expected of their number."""
        listed: dict[int, dict[str, Any]] = {}
        marker = 0
        while True:
            with translated(f"List the parts of the upload of {self.uri}"), _gone_raised(self.uri):
                answer = self.call("list_parts", UploadId=upload.upload_id, PartNumberMarker=marker)
            for part in answer.get("Parts", []):
                number = part["PartNumber"] - 1
                if number < source.parts.count and part["Size"] == source.parts.range(number).size:
                    listed[number] = _completed(number, part)
            if not answer.get("IsTruncated"):
                return listed
            marker = answer["NextPartNumberMarker"]

    def _nodes(self, source: JobSource, listed: Mapping[int, dict[str, Any]]) -> dict[Node, Fetched]:
        """Return the digests of listed parts by AWS's tree hashes; a part that AWS gives none for is stored again."""
        nodes: dict[Node, Fetched] = {}
        if source.archive_id is None:
            return nodes
        for node in cover(listed.keys(), source.parts.root):
            if (digest := source.tree_hash_of(node)) is None:
                continue
            nodes[node] = Fetched(digest=digest, verified=True)
            self._uploaded |= {number: listed[number] for number in range(node.first, node.first + node.leaves)}
        return nodes

    def store(self, source: JobSource, number: int) -> Fetched:
        """Fetch a part and upload it; if it is the only one, it is uploaded by :meth:`publish`."""
        part = source.parts.range(number)
        upload = self._upload
        if upload is not None and part.size > LARGEST_PIECE_BYTES:
            streamed = _StreamedPart(source, part)
            try:
                self._upload_part(upload, number, streamed, part.size)
            except Exception:
                # botocore would report an error of its connection to S3.
                if streamed.error is not None:
                    raise streamed.error from None
                raise
            return streamed.fetched
        content = io.BytesIO()
        # All of its memory at once: a buffer that grows takes an eighth more than it holds.
        content.seek(part.size - 1)
        content.write(b"\0")
        fetched = source.fetch(part, partial(_write, content, part.start))
        # Not copied, and sent by fewer calls of the system than a file.
        body = content.getvalue()
        if upload is None:
            self._content = body
        else:
            self._upload_part(upload, number, body, part.size)
        return fetched

    def _upload_part(self, upload: _Upload, number: int, body: Any, size: int) -> None:
        with translated(f"Upload part {number + 1} of {self.uri}"), _gone_raised(self.uri):
            answer = self.call(
                "upload_part",
                UploadId=upload.upload_id,
                PartNumber=number + 1,
                Body=body,
                ContentLength=size,
                ChecksumAlgorithm=_CHECKSUM,
            )
        self._uploaded[number] = _completed(number, answer)

    def publish(self, source: JobSource, sha256_tree_hash: str, *, replace: bool) -> Published | None:
        """Complete the upload, or create the object by one request."""
        condition: dict[str, Any] = {} if replace else {"IfNoneMatch": "*"}
        if self._upload is None:
            token = secrets.token_hex(16)
            arguments: dict[str, Any] = {
                "Body": self._content,
                "ChecksumAlgorithm": _CHECKSUM,
                "Metadata": {**self._metadata(source, token), _TREE_HASH: sha256_tree_hash},
                **self.options.of_object,
            }
            return self._published("put_object", token, {**arguments, **condition})
        parts = [self._uploaded[number] for number in sorted(self._uploaded)]
        arguments = {"UploadId": self._upload.upload_id, "MultipartUpload": {"Parts": parts}}
        published = self._published("complete_multipart_upload", self._upload.token, {**arguments, **condition})
        if published is not None:
            self._tidy(self._upload)
        return published

    def _published(self, method: str, token: str, arguments: Mapping[str, Any]) -> Published | None:
        """Make the last request; if its answer says or leaves open that it failed, look for the object."""
        try:
            with translated(f"Create {self.uri}"), _gone_raised(self.uri), _conflicts_raised():
                answer = self.call(method, **arguments)
        except (ServiceUnavailable, GoneUpload, _Conflict) as error:
            head = self._head()
            if head is not None and _token(head) == token:
                return Published(etag=head["ETag"], version_id=head.get("VersionId"))
            if not isinstance(error, _Conflict):
                raise
            if error.exists:
                return None
            self.discard()
            raise GoneUpload(f"S3 refused to create {self.uri} because of a simultaneous request") from error
        return Published(etag=answer["ETag"], version_id=answer.get("VersionId"))

    def discard(self) -> None:
        """Abort the upload, and delete its checkpoint. A failure is logged."""
        if self._upload is not None:
            self._abort(self._upload)
            self._tidy(self._upload)
        self._upload = None

    def forget(self, source: JobSource) -> None:
        """Delete the checkpoint of the upload that has created the object; another process may use any other one."""
        upload, head = self._stored_upload(source), self._head()
        if upload is not None and head is not None and _token(head) == upload.token:
            self._tidy(upload)
        for difference in [] if head is None else self.options.differences(head):
            log.warning("%s exists already, and has %s; it was not changed", self.uri, difference)

    def end(self) -> None:
        """Drop the bytes in memory."""
        self._content = b""

    def _abort(self, upload: _Upload) -> None:
        try:
            with translated(f"Abort the upload of {self.uri}"), _gone_raised(self.uri):
                self.call("abort_multipart_upload", UploadId=upload.upload_id)
        except GoneUpload:
            return  # it was completed or aborted before
        except GlacierJobsError as error:
            log.warning("%s. The parts of the upload are paid for until a lifecycle rule aborts it", error)

    def _delete_checkpoint(self, upload: _Upload) -> None:
        """Delete the checkpoint, unless another process has begun another upload in the meantime."""
        if self._read_checkpoint() == upload:
            with translated(f"Delete {self.checkpoint}"):
                self.call("delete_object", Key=self._checkpoint_key)

    def _tidy(self, upload: _Upload) -> None:
        """Delete the checkpoint of an upload that has ended. A failure is logged: the next run finds it out."""
        try:
            self._delete_checkpoint(upload)
        except GlacierJobsError as error:
            log.warning("%s. It may be deleted by hand", error)


class _StreamedPart:
    """The bytes of a part as a file that S3's client reads: piece by piece, each compared before the client gets it.

    The client reads the part again from its beginning if it repeats the request.
    """

    def __init__(self, source: JobSource, part: ByteRange) -> None:
        self._source = source
        self._part = part
        self._pieces = {piece.start: piece for piece in source.pieces(part, STREAMED_PIECE_BYTES)}
        self._digests: dict[int, tuple[list[bytes], bool]] = {}
        self._position = part.start
        self._piece: ByteRange | None = None
        self._content = io.BytesIO()
        self.error: Exception | None = None

    @property
    def fetched(self) -> Fetched:
        """The digest of the part, whose pieces were all read."""
        digests = [digest for start in self._pieces for digest in self._digests[start][0]]
        return Fetched(digest=of_digests(digests), verified=all(verified for _, verified in self._digests.values()))

    def read(self, size: int = -1) -> bytes:
        left = self._part.end + 1 - self._position
        size = left if size is None or size < 0 else min(size, left)
        if not size:
            return b""
        piece = self._piece
        if piece is None or not piece.start <= self._position <= piece.end:
            piece = next(piece for piece in self._pieces.values() if piece.end >= self._position)
            self._fetch(piece)
        self._content.seek(self._position - piece.start)
        content = self._content.read(size)
        self._position += len(content)
        return content

    def _fetch(self, piece: ByteRange) -> None:
        if self.error is not None:
            raise self.error
        self._piece = None
        try:
            self._digests[piece.start] = self._source.fetch_piece(piece, partial(_write, self._content, piece.start))
        except Exception as error:
            self.error = error
            raise
        self._content.truncate(piece.size)
        self._piece = piece

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        origin = {io.SEEK_SET: 0, io.SEEK_CUR: self.tell(), io.SEEK_END: self._part.size}[whence]
        self._position = self._part.start + origin + offset
        return self.tell()

    def tell(self) -> int:
        return self._position - self._part.start


class _Conflict(Exception):
    """S3 refused to create an object, because there is one, or because of a simultaneous request."""

    def __init__(self, *, exists: bool) -> None:
        super().__init__()
        self.exists = exists


@contextmanager
def _conflicts_raised() -> Iterator[None]:
    try:
        yield
    except ClientError as error:
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        if status == 412 or _code(error) == "PreconditionFailed":
            raise _Conflict(exists=True) from error
        if status == 409:
            raise _Conflict(exists=False) from error
        raise


@contextmanager
def _gone_raised(uri: str) -> Iterator[None]:
    try:
        yield
    except ClientError as error:
        if _code(error) == "NoSuchUpload":
            raise GoneUpload(f"S3 has no upload for {uri} any more: it was completed or aborted") from error
        if _code(error) == "InvalidPart":
            # Another process has uploaded a part again, whose ETag differs if it is encrypted by a key of KMS.
            raise GoneUpload(f"S3 has other parts of {uri} than expected") from error
        raise


def _token(head: Mapping[str, Any]) -> str | None:
    """Return the token of the upload that has created an object; ``None`` if this package has not."""
    token: str | None = head.get("Metadata", {}).get(_TOKEN)
    return token


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code"))


def _completed(number: int, answer: Mapping[str, Any]) -> dict[str, Any]:
    """Return a part as the request expects it that completes its upload."""
    names = ("ETag", "ChecksumCRC32")
    return {"PartNumber": number + 1, **{name: answer[name] for name in names if answer.get(name)}}


def _write(content: io.BytesIO, start: int, position: int, chunk: bytes) -> None:
    content.seek(position - start)
    content.write(chunk)
