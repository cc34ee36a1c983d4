"""Benchmark figures and their table: our value, the value compared with, their ratio, and the target."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal


@dataclass(frozen=True, kw_only=True)
class Target:
    """The target of a figure: for its ``ratio``, or for its ``ours`` in its unit."""

    of: Literal["ratio", "ours"]
    at_most: float | None = None
    at_least: float | None = None


@dataclass(frozen=True, kw_only=True)
class Figure:
    """Two measurements of the same run.

    :param name: what was measured.
    :param unit: the unit of ``ours`` and ``other``.
    :param other_name: what ours is compared with.
    :param reads: ``more`` for the ratio other / ours (times better), ``share`` for ours / other.
    """

    name: str
    unit: str
    ours: float
    other: float
    other_name: str
    reads: Literal["more", "share"] = "share"
    target: Target | None = None

    @property
    def ratio(self) -> float | None:
        """The ratio in the direction of ``reads``; ``None`` if its divisor is 0."""
        dividend, divisor = (self.other, self.ours) if self.reads == "more" else (self.ours, self.other)
        return dividend / divisor if divisor else None

    @property
    def holds(self) -> bool | None:
        """Whether the target is met; ``None`` without a target."""
        if self.target is None:
            return None
        value = self.ratio if self.target.of == "ratio" else self.ours
        return (
            value is not None
            and (self.target.at_most is None or value <= self.target.at_most)
            and (self.target.at_least is None or value >= self.target.at_least)
        )

    def as_json(self) -> dict[str, Any]:
        """Return all values for JSON."""
        return {**asdict(self), "ratio": self.ratio, "holds": self.holds}


def table(figures: Sequence[Figure]) -> str:
    """Return the figures as a Markdown table."""
    rows = [
        ("figure", "ours", "compared with", "ratio", "target", ""),
        ("---", "---:", "---:", "---:", "---:", "---"),
        *(_row(figure) for figure in figures),
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in rows
    )


def _row(figure: Figure) -> tuple[str, ...]:
    return (
        figure.name,
        f"{_number(figure.ours)} {figure.unit}",
        f"{figure.other_name}: {_number(figure.other)} {figure.unit}",
        "" if figure.ratio is None else f"{figure.ratio:.2f}x",
        _target(figure),
        {None: "", True: "holds", False: "MISSED"}[figure.holds],
    )


def _target(figure: Figure) -> str:
    if figure.target is None:
        return ""
    unit = "x" if figure.target.of == "ratio" else f" {figure.unit}"
    bound, value = ("≤", figure.target.at_most) if figure.target.at_most is not None else ("≥", figure.target.at_least)
    return f"{bound} {value:g}{unit}"


def _number(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"
