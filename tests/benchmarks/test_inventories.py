from __future__ import annotations

from pathlib import Path

from benchmarks.inventories import inventories


def test_both_store_all_archives_and_ours_needs_little_memory(tmp_path: Path) -> None:
    seconds, memory = inventories(tmp_path, archives=5_000)

    assert seconds.ours > 0
    assert memory.ours < 150
