"""What can go wrong, grouped by what the caller does next.

::

    GlacierJobsError
    ├── FinalError              the same call fails again: something must be changed first
    │   ├── InvalidArgument     an argument is not what was expected (also a ValueError)
    │   ├── ConnectionNotFound  a connection was named that Airflow does not have
    │   ├── AccessDenied        AWS refused the credentials or what they may do, or a file may not be read
    │   ├── NotSupported        this account cannot use Amazon Glacier's vaults
    │   ├── RequestRefused      AWS refused the request for another reason
    │   ├── VaultNotFound
    │   ├── JobNotFound
    │   ├── MalformedAnswer     AWS's answer is not what its contract promises
    │   ├── WrongAccount        a vault belongs to another account than the one observed
    │   ├── VaultsRefused       some vaults cannot be listed; the message names every one
    │   ├── HistoryDiffers      a day's history is there already, and says something else
    │   ├── MalformedFile       a file of the dataset is not what it should be (also an OSError)
    │   └── StoreNotSuitable    a store that cannot create an object whole or not at all
    └── TransientError          the same call may succeed later
        ├── Throttled
        ├── ServiceUnavailable  5xx, time-outs, dropped connections, unreadable bodies
        ├── VaultsUnavailable   some vaults could not be listed just now; the message names every one
        ├── MarkerRepeated      a listing that would never end
        ├── ObservationExists   the place of a new observation is taken; the next has another
        ├── DayClosed           an observation comes too late for the day it belongs to; the next belongs to a later one
        └── TookTooLong         a question was broken off, because its time was over

None derives from ``AirflowException``: Airflow's sensors treat every subclass of that as a reason to skip
under ``soft_fail``. The operators and sensors turn a :class:`FinalError` into ``AirflowFailException``, so
that no retry is spent on it, and let a :class:`TransientError` pass, so that Airflow retries.
"""

from __future__ import annotations


class GlacierJobsError(Exception):
    """Any error that this package raises on purpose."""


class FinalError(GlacierJobsError):
    """The same call fails again: something must be changed first."""


class InvalidArgument(FinalError, ValueError):
    """An argument is not what was expected; the message names both."""


class ConnectionNotFound(FinalError):
    """A connection was named that Airflow does not have."""


class AccessDenied(FinalError):
    """AWS refused the credentials, or what they may do; or a file may not be read."""


class NotSupported(FinalError):
    """This account cannot use Amazon Glacier's vaults."""


class RequestRefused(FinalError):
    """AWS refused the request, and would refuse it again."""


class VaultNotFound(FinalError):
    """The account has no such vault in this Region."""


class JobNotFound(FinalError):
    """The vault has no such job, or no longer."""


class MalformedAnswer(FinalError):
    """AWS's answer is not what its contract promises; the message names vault, job and field."""


class WrongAccount(FinalError):
    """A vault belongs to another account than the one observed."""


class VaultsRefused(FinalError):
    """Some vaults cannot be listed; the message names every one and why."""


class HistoryDiffers(FinalError):
    """A day's history is there already, and says something else; nothing was changed."""


class MalformedFile(FinalError, OSError):
    """A file of the dataset is not what it should be; the message names it and what was found."""


class StoreNotSuitable(FinalError):
    """A store that cannot create an object whole or not at all."""


class TransientError(GlacierJobsError):
    """The same call may succeed later."""


class Throttled(TransientError):
    """AWS asked to slow down, also after the client's own retries."""


class ServiceUnavailable(TransientError):
    """No usable answer: a 5xx, a time-out, a dropped connection or an unreadable body."""


class VaultsUnavailable(TransientError):
    """Some vaults could not be listed just now; the message names every one and why."""


class MarkerRepeated(TransientError):
    """A page carried a marker that the listing had been given before: it would never end."""


class ObservationExists(TransientError):
    """The place of a new observation is taken; nothing was changed. The next observation has another place."""


class DayClosed(TransientError):
    """An observation comes too late for its day; nothing was published. The next observation belongs to a later one."""


class TookTooLong(TransientError):
    """A question to the dataset was broken off, because its time was over."""
