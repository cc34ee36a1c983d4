"""A disk that records which files are opened."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fsspec import AbstractFileSystem
from fsspec.implementations.local import LocalFileSystem


class RecordingDisk(AbstractFileSystem):  # type: ignore[misc]  # fsspec has no types
    """The local disk as an object store that records which paths were listed and opened."""

    cachable = False

    def __init__(self) -> None:
        super().__init__()
        self._disk = LocalFileSystem()
        self.listed: list[str] = []
        self.opened: list[str] = []

    def ls(self, path: str, detail: bool = True, **kwargs: Any) -> Any:
        self.listed.append(path)
        return self._disk.ls(path, detail=detail)

    def info(self, path: str, **kwargs: Any) -> Any:
        return self._disk.info(path)

    def modified(self, path: str) -> Any:
        return self._disk.modified(path)

    def cat_file(self, path: str, start: int | None = None, end: int | None = None, **kwargs: Any) -> Any:
        self.opened.append(path)
        return self._disk.cat_file(path, start, end)

    def below(self, root: str) -> dict[str, list[str]]:
        """Return, by table, the dates of the opened files, once for each time a file was opened."""
        found: dict[str, list[str]] = {}
        for path in self.opened:
            *_, table, partition, _ = Path(path).relative_to(root).parts
            found.setdefault(table, []).append(partition.partition("=")[2])
        return {table: sorted(dates) for table, dates in found.items()}
