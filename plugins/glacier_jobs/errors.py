"""The errors of this package, grouped by what the caller does next.

::

    GlacierJobsError
    ├── FinalError              the same call fails again, unless something is changed
    │   ├── InvalidArgument     an argument is not valid (also a ValueError)
    │   ├── ConnectionNotFound  the Airflow connection does not exist
    │   ├── AccessDenied        AWS refused the credentials or their permissions, or a file may not be read
    │   │   └── ProxyDenied     a proxy or another server answered instead of AWS, and wants a login or redirects
    │   ├── NotSupported        this account cannot use Amazon Glacier's vaults
    │   ├── RequestRefused      AWS refused the request for another reason
    │   ├── VaultNotFound
    │   ├── ArchiveNotFound
    │   ├── JobNotFound
    │   │   └── JobOutputExpired  there is no such job any more, and so no output
    │   ├── JobOutputNotReady   the job is in progress
    │   ├── JobFailed           the job failed, and so has no output
    │   ├── MalformedAnswer     AWS's answer differs from its documentation
    │   ├── InventoryNotUsable  a job's inventory is not in JSON, or not whole
    │   ├── WrongAccount        a vault belongs to an account other than the observed one
    │   ├── VaultsRefused       some vaults cannot be listed; the message names each of them
    │   ├── HistoryDiffers      the history of a day exists already, with different content
    │   ├── CompactedDiffers    the compacted file of a day differs from the raw files
    │   ├── MalformedFile       a file of the dataset is not as expected (also an OSError)
    │   ├── TreeHashMismatch    the bytes of an output are not those that AWS's tree hash describes
    │   ├── TargetDiffers       another file or object exists where an output was to be stored
    │   ├── TargetNotReadable   an object exists where an output was to be stored, and cannot be read
    │   └── StoreNotSuitable    the store cannot create an object atomically
    └── TransientError          the same call may succeed later
        ├── Throttled
        ├── ServiceUnavailable  5xx, time-outs, dropped connections, unreadable bodies
        ├── InsufficientCapacity  no capacity for Expedited retrievals now; no job was initiated
        ├── PolicyEnforced      the account's data retrieval policy does not admit the job now; no job was initiated
        ├── IntentExpired       the request to start a job was not made in time; no job was initiated
        ├── JobMayHaveStarted   no usable answer to Initiate Job: a repeated request could start a second job
        ├── CredentialsUnavailable  the source of the credentials gave none
        ├── VaultsUnavailable   some vaults could not be listed for now; the message names each of them
        ├── MarkerRepeated      a listing would never end
        ├── ObservationExists   the path of a new observation exists already; the next observation has another path
        ├── TargetInUse         another process stores the same output at the same place
        ├── DayClosed           the day of an observation is finalized; the next observation belongs to a later day
        └── TookTooLong         a question exceeded its time limit

None derives from ``AirflowException``: with ``soft_fail``, Airflow's sensors skip on every subclass of that. The
operators and sensors convert a :class:`FinalError` to ``AirflowFailException``, so that Airflow does not retry. They do
not catch a :class:`TransientError`, so that Airflow retries.
"""

from __future__ import annotations


class GlacierJobsError(Exception):
    """The base class of this package's errors."""


class FinalError(GlacierJobsError):
    """The same call fails again, unless something is changed."""


class InvalidArgument(FinalError, ValueError):
    """An argument is not valid; the message names what was found and what was expected."""


class ConnectionNotFound(FinalError):
    """The Airflow connection does not exist."""


class AccessDenied(FinalError):
    """AWS refused the credentials or their permissions, or a file may not be read."""


class ProxyDenied(AccessDenied):
    """A proxy or another server answered instead of AWS: it wants a login, or it redirects; the message names it."""


class NotSupported(FinalError):
    """This account cannot use Amazon Glacier's vaults."""


class RequestRefused(FinalError):
    """AWS refused the request, and would refuse it again."""


class VaultNotFound(FinalError):
    """The account has no such vault in this Region."""


class ArchiveNotFound(FinalError):
    """The vault has no such archive, as far as Glacier knows."""


class JobNotFound(FinalError):
    """The vault has no such job, or the job has expired."""


class JobOutputExpired(JobNotFound):
    """The vault has no such job, or the job and its output have expired; another job must be initiated."""


class JobOutputNotReady(FinalError):
    """The job is in progress. Jobs take hours, so a task must wait for the job before it reads the output."""


class JobFailed(FinalError):
    """The job failed, and so has no output; the message names it and Glacier's reason."""


class MalformedAnswer(FinalError):
    """AWS's answer differs from its documentation; the message names vault, job and field."""


class InventoryNotUsable(FinalError):
    """The inventory of a job cannot be stored as a whole; the message names the job and says what to ask for."""


class WrongAccount(FinalError):
    """A vault belongs to an account other than the observed one."""


class VaultsRefused(FinalError):
    """Some vaults cannot be listed; the message names each of them and the reason."""


class HistoryDiffers(FinalError):
    """The history of a day exists already, with different content; nothing was changed."""


class CompactedDiffers(FinalError):
    """The compacted file of a day differs from the raw files; nothing was changed."""


class MalformedFile(FinalError, OSError):
    """A file of the dataset is not as expected; the message names the file and what was found."""


class TreeHashMismatch(FinalError):
    """The bytes of a job's output differ from AWS's tree hash, also after several requests; nothing was published."""


class TargetDiffers(FinalError):
    """Another file or object exists where a job's output was to be stored; it was not changed."""


class TargetNotReadable(FinalError):
    """An object exists where a job's output was to be stored, and its storage class prevents reading it."""


class StoreNotSuitable(FinalError):
    """The store cannot create an object atomically."""


class TransientError(GlacierJobsError):
    """The same call may succeed later."""


class Throttled(TransientError):
    """AWS throttled the request, also after the client's retries."""


class ServiceUnavailable(TransientError):
    """No usable answer: a 5xx, a time-out, a dropped connection or an unreadable body."""


class InsufficientCapacity(TransientError):
    """Glacier has no capacity for Expedited retrievals now; no job was initiated."""


class PolicyEnforced(TransientError):
    """The account's data retrieval policy does not admit the job now; no job was initiated, and nothing is charged."""


class IntentExpired(TransientError):
    """The request to start a job could not be made soon enough after the intent was stored; no job was initiated."""


class JobMayHaveStarted(TransientError):
    """There was no usable answer to Initiate Job: look for the job before the request is repeated."""


class CredentialsUnavailable(TransientError):
    """The source of the credentials (ECS, EKS, EC2, a process, a profile) gave none, or there is no such source."""


class VaultsUnavailable(TransientError):
    """Some vaults could not be listed for now; the message names each of them and the reason."""


class MarkerRepeated(TransientError):
    """A listing received the same marker twice, so that it would never end."""


class ObservationExists(TransientError):
    """The path of a new observation exists already; nothing was changed. The next observation has another path."""


class TargetInUse(TransientError):
    """Another process stores the same output at the same place; its result will be found by a later try."""


class DayClosed(TransientError):
    """The day of an observation is finalized; nothing was published. The next observation belongs to a later day."""


class TookTooLong(TransientError):
    """A question about the dataset, or the publication of an aggregate, exceeded its time limit and was given up."""
