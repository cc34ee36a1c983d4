from __future__ import annotations

import json

import pytest

from benchmarks.figures import Figure, Target, table


def figure(ours: float, other: float, **more: object) -> Figure:
    return Figure(name="speed", unit="s", ours=ours, other=other, other_name="theirs", **more)  # type: ignore[arg-type]  # any fields


def test_a_ratio_is_a_share_or_a_multiple() -> None:
    assert figure(2, 8).ratio == 0.25
    assert figure(2, 8, reads="more").ratio == 4


@pytest.mark.parametrize(
    ("target", "holds"),
    [
        (None, None),
        (Target(of="ratio", at_most=0.25), True),
        (Target(of="ratio", at_most=0.2), False),
        (Target(of="ratio", at_least=0.3), False),
        (Target(of="ours", at_most=2), True),
        (Target(of="ours", at_least=3), False),
    ],
)
def test_a_target_is_met_or_missed(target: Target | None, holds: bool | None) -> None:
    assert figure(2, 8, target=target).holds is holds


def test_the_table_shows_missed_targets() -> None:
    lines = table([figure(2, 8, target=Target(of="ratio", at_most=0.2)), figure(0.001, 1234)]).splitlines()

    assert [cell.strip() for cell in lines[2].split("|")[1:-1]] == [
        "speed", "2.00 s", "theirs: 8.00 s", "0.25x", "≤ 0.2x", "MISSED",
    ]  # fmt: skip
    assert len({len(line) for line in lines}) == 1


def test_the_json_has_all_values() -> None:
    values = json.loads(json.dumps(figure(2, 8, target=Target(of="ratio", at_most=0.2)).as_json()))

    assert (values["ours"], values["other"], values["ratio"], values["holds"]) == (2, 8, 0.25, False)
