"""A wait as JSON, for the process that continues it. All pure.

The JSON holds one digit for each job, compressed, and neither ids nor descriptions: ten thousand jobs take a few
kilobytes.
"""

from __future__ import annotations

import base64
import hashlib
import json
import zlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from glacier_jobs.errors import InvalidArgument
from glacier_jobs.waiting.state import PROBLEMS, Verdict, Wait

#: How many characters of status messages are stored; further messages are dropped. Airflow's state store of a task
#: takes 64 KB by default.
MESSAGE_CHARACTERS = 16_000

#: What is known of one job, and its digit: its verdict, and whether a poll has shown it.
_DIGITS = {
    "0": (Verdict.PENDING, False),
    "1": (Verdict.PENDING, True),
    "2": (Verdict.SUCCEEDED, False),
    "3": (Verdict.FAILED, False),
    "4": (Verdict.MISSING, False),
}
_DIGIT_OF = {known: digit for digit, known in _DIGITS.items()}


def to_json(wait: Wait) -> dict[str, Any]:
    """Return a wait as JSON, without the ids of its jobs; :func:`from_json` needs them again."""
    return {
        "digest": _digest(wait.verdicts),
        "started_at": wait.started_at.isoformat(),
        "single": wait.single,
        "jobs": packed("".join(_DIGIT_OF[verdict, job_id in wait.seen] for job_id, verdict in wait.verdicts.items())),
        "messages": packed(json.dumps(_grouped_messages(wait), ensure_ascii=False)),
        "unnamed": {verdict.value: count for verdict, count in wait.unnamed.items()},
        "polled": wait.polled,
        "expedited": wait.expedited,
        "bad_polls": wait.bad_polls,
        "pages": wait.pages,
    }


def from_json(stored: Mapping[str, Any], job_ids: Sequence[str], *, single: bool = False) -> Wait:
    """Return the wait that :func:`to_json` was given.

    :param job_ids: the ids of the wait, in their order; without ids, because they must be read first, the wait has only
        what is known of its start and its polls.
    :param single: whether one id was given, for a state without ids, and for one of version 0.1.0 or of its trigger,
        which do not hold it.
    :raises InvalidArgument: the wait is for other ids.
    """
    known: dict[str, Any] = {
        "started_at": datetime.fromisoformat(stored["started_at"]),
        "polled": stored.get("polled", stored["pages"] > 0),
        "bad_polls": stored["bad_polls"],
    }
    if stored["digest"] != _digest(job_ids):
        if job_ids and stored["digest"] != _digest(()):
            raise InvalidArgument(
                "the ids of this wait have changed since its first poll: job_id now gives other ids, or another order "
                f"({len(job_ids)} ids, the first is {job_ids[0]}); expected the same {_number_of_ids(stored)} ids in "
                "the same order until the wait is over"
            )
        return Wait(verdicts=dict.fromkeys(job_ids, Verdict.PENDING), single=single, **known)
    if "jobs" not in stored:
        return _from_first_version(stored, job_ids, single=single, **known)
    jobs = dict(zip(job_ids, (_DIGITS[digit] for digit in unpacked(stored["jobs"])), strict=True))
    failed = [job_id for job_id, (verdict, _) in jobs.items() if verdict is Verdict.FAILED]
    texts, numbers = json.loads(unpacked(stored["messages"]))
    return Wait(
        verdicts={job_id: verdict for job_id, (verdict, _) in jobs.items()},
        single=single if stored["single"] is None else stored["single"],
        seen=frozenset(job_id for job_id, (_, seen) in jobs.items() if seen),
        messages={job_id: texts[number] for job_id, number in zip(failed, numbers, strict=True) if number is not None},
        unnamed={Verdict(verdict): count for verdict, count in stored["unnamed"].items()},
        expedited=stored["expedited"],
        pages=stored["pages"],
        **known,
    )


def packed(text: str) -> str:
    """Return a text compressed to ASCII."""
    # A status message may hold half of a surrogate pair, which JSON allows and UTF-8 does not.
    return base64.b64encode(zlib.compress(text.encode("utf-8", "surrogatepass"))).decode()


def unpacked(packed: str) -> str:
    """Return the text that :func:`packed` was given."""
    return zlib.decompress(base64.b64decode(packed)).decode("utf-8", "surrogatepass")


def _grouped_messages(wait: Wait) -> tuple[list[str], list[int | None]]:
    """Return the different messages, and for each job that failed the number of its message, or ``None``."""
    numbers: dict[str, int] = {}
    characters = 0
    of_jobs: list[int | None] = []
    for job_id, verdict in wait.verdicts.items():
        if verdict is Verdict.FAILED:
            message = wait.messages.get(job_id)
            if message is not None and message not in numbers and characters + len(message) <= MESSAGE_CHARACTERS:
                characters += len(message)
                numbers[message] = len(numbers)
            of_jobs.append(None if message is None else numbers.get(message))
    return list(numbers), of_jobs


def _number_of_ids(stored: Mapping[str, Any]) -> int:
    return len(unpacked(stored["jobs"])) if "jobs" in stored else len(_bits(stored["pending"]))


def _digest(job_ids: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(job_ids).encode()).hexdigest()[:16]


def _from_first_version(stored: Mapping[str, Any], job_ids: Sequence[str], **polls: Any) -> Wait:
    """Read a state of version 0.1.0: bits for the pending jobs, and the ids of the first 20 jobs that have problems.

    If these are all awaited ids, and all that have problems are named, the others succeeded. A trigger of version 0.1.0
    has the pending ids only.
    """
    pending = dict.fromkeys(_chosen(stored["pending"], job_ids), Verdict.PENDING)
    problems = {job_id: Verdict(verdict) for job_id, verdict, _ in stored["problems"]}
    counts = {Verdict.SUCCEEDED: stored["succeeded"]}
    counts |= {verdict: stored[verdict.value] - list(problems.values()).count(verdict) for verdict in PROBLEMS}
    verdicts = {**problems, **pending}
    if counts[Verdict.SUCCEEDED] + len(verdicts) == len(job_ids) and not any(counts[verdict] for verdict in PROBLEMS):
        verdicts = {job_id: verdicts.get(job_id, Verdict.SUCCEEDED) for job_id in job_ids}
        counts = {}
    return Wait(
        verdicts=verdicts,
        seen=frozenset(_chosen(stored["seen"], job_ids)),
        messages={job_id: message for job_id, _, message in stored["problems"] if message is not None},
        unnamed={verdict: count for verdict, count in counts.items() if count},
        pages=stored["pages"],
        **polls,
    )


def _chosen(bits: str, job_ids: Sequence[str]) -> Iterable[str]:
    return (job_id for job_id, flag in zip(job_ids, _bits(bits), strict=True) if flag == "1")


def _bits(stored: str) -> str:
    return f"{int(stored, 16):b}"[1:]
