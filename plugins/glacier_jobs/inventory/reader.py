"""Reads the JSON of an inventory piece by piece, whatever its size, without a list of all its archives.

msgspec decodes JSON quickly, and whole documents only. So the array of archives is cut between two archives, and each
piece is decoded as an array of its own. A cut is made where ``},{"`` is followed by a character that cannot follow the
end of a string. In valid JSON, that is never inside a string: an unescaped quote there would end the string, and a
comma, a colon, a bracket or white space would follow. It can be inside a nested array. The piece before it then has
brackets that are not closed, so that it is not an array, and more of the body is read. What is left at the end is
decoded with the end of the document. So a body of which a part is missing is an error, and never a shorter list.
"""

from __future__ import annotations

import json
import re
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any, Protocol, TypeAlias

import msgspec

from glacier_jobs.errors import MalformedAnswer, ServiceUnavailable

#: How many bytes are read at once, and the least size of a piece.
_READ_BYTES = 1024 * 1024

#: No archive, and nothing before or after the list of archives, is nearly as long. Limits the memory for other bodies.
_LONGEST_BYTES = 64 * 1024 * 1024

_LIST = "ArchiveList"
_LIST_BEGINS = re.compile(rb'"ArchiveList"[ \t\r\n]*:[ \t\r\n]*\[')
_BETWEEN_ARCHIVES = re.compile(rb'\}([ \t\r\n]*,[ \t\r\n]*)(?=\{[ \t\r\n]*"[^,:}\] \t\r\n])')
_SEARCHED_BYTES = 4096


class ArchiveRecord(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """One archive as documented, with AWS's names; null and absent are both ``None``.

    Source: Amazon Glacier API 2012-06-01, Get Job Output.
    """

    ArchiveId: str
    ArchiveDescription: str | None = None
    CreationDate: str | None = None
    Size: int | None = None
    SHA256TreeHash: str | None = None


#: Archives of one inventory: as records, or as objects if one of them is not as documented.
Archives: TypeAlias = list[ArchiveRecord] | list[dict[str, Any]]

_DECODER = msgspec.json.Decoder(list[ArchiveRecord])


class Readable(Protocol):
    """The body of an answer."""

    def read(self, size: int, /) -> bytes:
        """Return the next bytes, at most ``size``; none at the end."""


class InventoryReader:
    """The archives and the other fields of one inventory in JSON. Can be read once.

    Example::

        reader = InventoryReader(body, "vault photos, job HkF9p6o7")
        archives = sum(len(piece) for piece in reader.pieces())
        taken_at = reader.fields["InventoryDate"]

    :param body: the body of Get Job Output.
    :param name: names the vault and the job in messages.
    """

    def __init__(self, body: Readable, name: str) -> None:
        self._body = body
        self._name = name
        self._buffer = bytearray()
        self._has_begun = False
        self._has_ended = False
        #: The fields beside ``ArchiveList``: those before it once :meth:`begin` returns, and all after the last piece.
        self.fields: dict[str, Any] = {}

    def begin(self) -> None:
        """Read up to the list of archives, unless that was done already.

        :raises ServiceUnavailable: the body is not JSON, for example because its end is missing.
        :raises MalformedAnswer: the body is not an inventory.
        """
        while not self._has_begun and not self._drop_beginning():
            if self._has_ended:
                self._decoded(bytes(self._buffer))
                raise self._not_an_inventory("there is no list ArchiveList")
            self._read_more()
        self._has_begun = True

    def pieces(self) -> Iterator[Archives]:
        """Yield all archives in their order, some thousand at a time.

        :raises ServiceUnavailable: the body is not JSON, for example because its end is missing.
        :raises MalformedAnswer: the body is not an inventory.
        """
        self.begin()
        wanted = _READ_BYTES
        while True:
            while len(self._buffer) < wanted and not self._has_ended:
                self._read_more()
            if self._has_ended:
                break
            if (piece := self._cut_piece()) is None:
                # Twice as many, so that the time does not grow with the square of the size.
                wanted = 2 * len(self._buffer)
            else:
                wanted = _READ_BYTES
                yield piece
        rest = self._decoded(b'{"ArchiveList":[' + self._buffer)
        self._buffer.clear()
        last = rest.pop(_LIST)
        if not isinstance(last, list) or self.fields.keys() & rest.keys():
            raise self._not_an_inventory("a field is there twice")
        self.fields |= rest
        yield self._objects(last)

    def _read_more(self) -> None:
        if len(self._buffer) > _LONGEST_BYTES:
            raise self._not_an_inventory(f"no archive ends within {_LONGEST_BYTES} bytes")
        block = self._body.read(_READ_BYTES)
        self._has_ended = not block
        self._buffer += block

    def _drop_beginning(self) -> bool:
        """Drop what precedes the first archive from the buffer, and return true, if the list begins there."""
        # Positions only: while a search goes on, the buffer cannot be changed.
        for end in [found.end() for found in _LIST_BEGINS.finditer(self._buffer)]:
            try:
                fields = _loaded(self._buffer[:end] + b"]}")
            except ValueError:
                # The list of another object, or not the beginning of an object.
                continue
            if isinstance(fields, dict) and fields.get(_LIST) == []:
                self.fields = {name: value for name, value in fields.items() if name != _LIST}
                del self._buffer[:end]
                return True
        return False

    def _cut_piece(self) -> Archives | None:
        """Take whole archives from the beginning of the buffer; ``None`` if more of the body is needed."""
        if (cut := _last_cut(self._buffer)) is None:
            return None
        end, next_begin = cut
        text = b"[" + self._buffer[:end] + b"]"
        try:
            piece: Archives = _DECODER.decode(text)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            try:
                piece = self._objects(_loaded(text))
            except ValueError:
                return None
        del self._buffer[:next_begin]
        return piece

    def _decoded(self, text: bytes | bytearray) -> dict[str, Any]:
        try:
            found = _loaded(text)
        except ValueError as error:
            raise ServiceUnavailable(
                f"{self._name}: the output is not JSON, or its end is missing ({error}). Nothing was published."
            ) from error
        if not isinstance(found, dict):
            raise self._not_an_inventory(f"it is {type(found).__name__}")
        return found

    def _objects(self, found: list[Any]) -> list[dict[str, Any]]:
        for each in found:
            if not isinstance(each, dict):
                raise self._not_an_inventory(f"ArchiveList holds {type(each).__name__}")
        return found

    def _not_an_inventory(self, reason: str) -> MalformedAnswer:
        return MalformedAnswer(
            f"{self._name}: the output is not an inventory in JSON: {reason}; expected an object with VaultARN, "
            "InventoryDate and ArchiveList, a list of objects"
        )


def _last_cut(buffer: bytearray) -> tuple[int, int] | None:
    """Return where the last cut ends an archive, and where the next one begins; ``None`` if there is no cut."""
    searched = _SEARCHED_BYTES
    while True:
        found = deque(_BETWEEN_ARCHIVES.finditer(buffer, max(0, len(buffer) - searched)), maxlen=1)
        if found:
            return found[0].start() + 1, found[0].end()
        if searched >= len(buffer):
            return None
        searched *= 4


def _loaded(text: bytes | bytearray) -> Any:
    """Return what a JSON text holds.

    :raises ValueError: it is not JSON, is nested too deeply, or has two lists of archives.
    """
    try:
        # NaN and Infinity are not JSON, although Python reads and writes them.
        return json.loads(text, parse_constant=str, object_pairs_hook=_object)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def _object(pairs: list[tuple[str, Any]]) -> Mapping[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs) and [name for name, _ in pairs].count(_LIST) > 1:
        raise ValueError("ArchiveList is there twice")
    return found
