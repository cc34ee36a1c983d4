"""The Airflow hook: complete listings of Amazon Glacier's vaults and jobs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timezone
from functools import partial
from typing import TYPE_CHECKING, Any

from glacier_jobs.aws_errors.error_mapping import started_or_not, uncertain
from glacier_jobs.errors import InvalidArgument, MalformedAnswer
from glacier_jobs.glacier.client import AttemptGuard, GlacierCalls
from glacier_jobs.glacier.decoding import RecordPage, are_records, decoded_records
from glacier_jobs.glacier.identifiers import VaultArn, check_account_id, check_vault_name
from glacier_jobs.glacier.initiation import JobRequest, JobType, Tier
from glacier_jobs.glacier.outputs import JobOutput, OutputRequest, ResumingJobOutput, requested_output
from glacier_jobs.glacier.pagination import (
    JobDescription,
    JobPage,
    MarkerTrail,
    RepeatFilter,
    check_marker,
    list_jobs_parameters,
)
from glacier_jobs.glacier.transport import Decode, PagedListing, call_operation, decoded_json

if TYPE_CHECKING:
    import pandas as pd


class GlacierJobsHook(GlacierCalls):
    """List all vaults of an account and all jobs of its vaults.

    All methods are safe to call from several threads.

    Example::

        hook = GlacierJobsHook(aws_conn_id="aws_archive", region_name="us-east-1")
        for vault in hook.list_vaults():
            jobs = list(hook.list_jobs(vault["VaultName"]))

    :param aws_conn_id: the Airflow connection. If it does not exist, requests raise :class:`ConnectionNotFound`. With
        ``None``, and if only the default ``aws_default`` does not exist, boto3 searches for credentials.
    :param region_name: the Region; with ``None`` that of the connection, or else the one that boto3 finds.
    :param verify: as in boto3.
    :param config: a botocore ``Config`` or its keywords as a dict; with ``None`` the connection's
        ``config_kwargs`` apply. If it does not set ``retries``, botocore's standard mode applies, for up to
        :data:`glacier_jobs.glacier.client.DEFAULT_RETRY_SECONDS`.
    :param max_requests: the maximum number of concurrent requests of the client.
    :param requests_per_second: the maximum number of the client's requests per second, retries included; ``None`` for
        no limit.
    :param retry_policy: the retries and time-outs that apply where the configuration does not set them, and the
        deadline of an answer, a :class:`glacier_jobs.glacier.client.RetryPolicy`.
    """

    def list_vaults(self, account_id: str = "-") -> Iterator[dict[str, Any]]:
        """List all vaults of an account in the hook's Region.

        Example::

            names = [vault["VaultName"] for vault in hook.list_vaults()]

        :param account_id: 12 digits, or ``-`` for the account of the credentials.
        :return: the descriptions of the vaults as AWS returns them, without duplicates.
        :raises InvalidArgument: the account id is not valid.
        :raises AccessDenied: the credentials may not list vaults.
        :raises TransientError: no usable answer after the client's retries; or the listing would never end.

        Source: Amazon Glacier API 2012-06-01, List Vaults.
        """
        check_account_id(account_id)
        return self._list_vaults(account_id)

    def _list_vaults(self, account_id: str) -> Iterator[dict[str, Any]]:
        seen: set[str] = set()
        for entries, action in self._vault_lists(account_id):
            for vault in _objects(entries, "VaultList", action, required=("VaultARN", "VaultName")):
                if vault["VaultName"] not in seen:
                    seen.add(vault["VaultName"])
                    yield vault

    def list_vault_entries(self, account_id: str = "-") -> Iterator[Any]:
        """List all vaults as :meth:`list_vaults` does, also those whose description is not as AWS documents it.

        Example::

            described = [entry for entry in hook.list_vault_entries() if isinstance(entry, dict)]

        :return: what AWS returns for each vault, of any type, with duplicates.
        """
        check_account_id(account_id)
        return (
            entry for entries, action in self._vault_lists(account_id) for entry in _list(entries, "VaultList", action)
        )

    def _vault_lists(self, account_id: str) -> Iterator[tuple[object, str]]:
        """Yield the list of vaults of each page, unchecked, and the name of the request."""
        action = f"List Vaults of account {account_id} in {self._region_text()}"
        for answer, _ in self._pages(action, PagedListing("list_vaults", {"accountId": account_id}, decoded_json)):
            yield answer.get("VaultList"), action

    def list_job_pages(
        self,
        vault_name: str,
        statuscode: str | None = None,
        completed: bool | None = None,
        page_size: int | None = None,
        marker: str | None = None,
        account_id: str = "-",
    ) -> Iterator[JobPage]:
        """List the jobs of one vault, page by page, in AWS's order.

        A page holds the jobs as AWS sent them, including duplicates. A later call can resume at the marker of a page.

        Example::

            for page in hook.list_job_pages("photos", completed=True, page_size=50):
                print(len(page.jobs), page.marker)

        :param statuscode: ``InProgress``, ``Succeeded`` or ``Failed``; ``None`` for all.
        :param completed: ``True`` for jobs that succeeded or failed, ``False`` for jobs in progress; ``None`` for all.
        :param page_size: the maximum number of jobs in a page; ``None`` for the service's default.
        :param marker: where an earlier listing stopped; ``None`` begins at the first job.
        :param account_id: 12 digits, or ``-`` for the account of the credentials.
        :return: pages of 0 to ``page_size`` job descriptions; the last has no marker.
        :raises InvalidArgument: an argument is not valid; no request was made.
        :raises VaultNotFound: the vault does not exist; the message names the vault and the Region.
        :raises AccessDenied: the credentials may not list this vault's jobs.
        :raises MalformedAnswer: the answer differs from AWS's documentation.
        :raises TransientError: no usable answer after the client's retries; or the listing would never end.

        Source: Amazon Glacier API 2012-06-01, List Jobs.
        """
        parameters = list_jobs_parameters(statuscode=statuscode, completed=completed, page_size=page_size)
        parameters |= {"vaultName": check_vault_name(vault_name), "accountId": check_account_id(account_id)}
        return self._list_job_pages(parameters, check_marker(marker))

    def _list_job_pages(self, parameters: Mapping[str, str], marker: str | None) -> Iterator[JobPage]:
        for jobs, next_marker in self._job_lists(parameters, marker, decoded_json):
            yield JobPage(jobs=[_without_nulls(job) for job in jobs], marker=next_marker)

    def list_record_pages(self, vault_name: str, account_id: str = "-") -> Iterator[RecordPage]:
        """List the jobs of one vault, page by page, in the form that takes the least time to convert to rows.

        Arguments and errors are those of :meth:`list_job_pages`.

        Example::

            pages = [
                ObservedPage(jobs=page.jobs, observed_at=datetime.now(timezone.utc))
                for page in hook.list_record_pages("photos")
            ]

        :return: pages of jobs, in the form that :func:`glacier_jobs.glacier.rows.converted_pages` expects.
        """
        parameters = {"vaultName": check_vault_name(vault_name), "accountId": check_account_id(account_id)}
        for jobs, marker in self._job_lists(parameters, None, _decoded_records):
            yield RecordPage(jobs=jobs, marker=marker)

    def _job_lists(
        self, parameters: Mapping[str, str], marker: str | None, decode: Decode
    ) -> Iterator[tuple[list[Any], str | None]]:
        """Yield the jobs of each page, all with vault ARN and id, and the marker of the next page."""
        action = f"List Jobs of vault {parameters['vaultName']} in {self._region_text()}"
        for answer, next_marker in self._pages(action, PagedListing("list_jobs", parameters, decode), marker):
            jobs = answer.get("JobList")
            if not are_records(jobs):
                jobs = _objects(jobs, "JobList", action, required=("VaultARN", "JobId"))
            yield jobs, next_marker

    def _pages(
        self, action: str, listing: PagedListing, marker: str | None = None
    ) -> Iterator[tuple[dict[str, Any], str | None]]:
        """Yield each answer of a listing, and the marker of the next one."""
        trail = MarkerTrail(action, marker)
        while True:
            answer = self._call(action, partial(listing.page, marker=marker))
            marker = trail.follow(answer.get("Marker"))
            yield answer, marker
            if marker is None:
                return

    def list_jobs(
        self,
        vault_name: str,
        statuscode: str | None = None,
        completed: bool | None = None,
        page_size: int | None = None,
        marker: str | None = None,
        account_id: str = "-",
    ) -> Iterator[JobDescription]:
        """List the jobs of one vault, all pages, each job once.

        Arguments and errors are those of :meth:`list_job_pages`.

        Example::

            failed = [job["JobId"] for job in hook.list_jobs("photos", statuscode="Failed")]

        :return: job descriptions as AWS returns them, in AWS's order.
        """
        pages = self.list_job_pages(vault_name, statuscode, completed, page_size, marker, account_id)
        repeats = RepeatFilter()
        return (job for page in pages for job in repeats.new(page.jobs))

    def find_jobs(self, vault_name: str, job_ids: Iterable[str], account_id: str = "-") -> dict[str, JobDescription]:
        """Find jobs of one vault by their ids; the listing stops once all are found.

        Example::

            found = hook.find_jobs("photos", [job_id])
            status = found[job_id]["StatusCode"] if job_id in found else "not listed"

        :param job_ids: the ids to find; not a single string.
        :return: id -> description of the jobs that are listed, in the order of ``job_ids``.
        :raises InvalidArgument: an argument is not valid.

        Other errors are those of :meth:`list_job_pages`.
        """
        if isinstance(job_ids, str):
            raise InvalidArgument(f"job_ids is the text {job_ids!r}; expected several ids, as a list")
        wanted = list(job_ids)
        missing = set(wanted)
        found: dict[str, JobDescription] = {}
        pages = self.list_job_pages(vault_name, account_id=account_id)
        while missing and (page := next(pages, None)):
            for job in page.jobs:
                if job["JobId"] in missing:
                    missing.remove(job["JobId"])
                    found[job["JobId"]] = job
        return {job_id: found[job_id] for job_id in wanted if job_id in found}

    def get_job(self, vault_name: str, job_id: str, account_id: str = "-") -> JobDescription:
        """Return the description of one job, with all fields of the answer to Describe Job.

        The provider's :meth:`describe_job` does the same without this package's retries and errors.

        Example::

            completed = hook.get_job("photos", job_id)["Completed"]

        :param account_id: 12 digits, or ``-`` for the account of the credentials.
        :raises InvalidArgument: an argument is not valid; no request was made.
        :raises JobNotFound: the vault has no such job, or the job has expired.
        :raises VaultNotFound: the vault does not exist; the message names the vault and the Region.
        :raises AccessDenied: the credentials may not describe this vault's jobs.
        :raises MalformedAnswer: the answer differs from AWS's documentation.
        :raises TransientError: no usable answer after the client's retries.

        Source: Amazon Glacier API 2012-06-01, Describe Job.
        """
        if not isinstance(job_id, str) or not job_id:
            raise InvalidArgument(f"job_id is {job_id!r}; expected the id of one job")
        parameters = {"vaultName": check_vault_name(vault_name), "accountId": check_account_id(account_id)}
        action = f"Describe Job {job_id} of vault {vault_name} in {self._region_text()}"
        answer = self._call(
            action, lambda client: call_operation(client, "describe_job", {"jobId": job_id, **parameters}).content
        )
        (job,) = _objects([answer], "job description", action, required=("VaultARN", "JobId"))
        if job["JobId"] != job_id:
            raise MalformedAnswer(f"{action}: the answer describes the job {job['JobId']!r}")
        return _without_nulls(job)

    def initiate_job(
        self,
        vault_name: str,
        job_type: JobType,
        *,
        archive_id: str | None = None,
        retrieval_byte_range: str | None = None,
        tier: Tier | None = None,
        description: str | None = None,
        sns_topic: str | None = None,
        output_format: str | None = None,
        inventory_retrieval_parameters: Mapping[str, Any] | None = None,
        account_id: str = "-",
    ) -> str:
        """Start a job by one request, which costs money, and return the job's id.

        Glacier starts, and charges for, a job for each request that it receives. So neither botocore nor the hook
        repeats a request that Glacier may have received. :class:`glacier_jobs.operators.GlacierInitiateJobOperator`
        also looks for the job of an earlier try. The provider's :meth:`retrieve_inventory` repeats requests.

        Example::

            job_id = hook.initiate_job("photos", "inventory-retrieval", tier="Bulk", output_format="JSON")

        :param job_type: ``archive-retrieval`` or ``inventory-retrieval``.
        :param archive_id: for an archive retrieval, the archive.
        :param retrieval_byte_range: the first and the last byte of the archive, ``start-end``; ``None`` for the whole.
            The first is a multiple of 1 MiB; the last is one less than such a multiple, or the archive's last.
        :param tier: ``Expedited``, ``Standard`` or ``Bulk``; ``None`` for Standard.
        :param description: up to 1,024 printable ASCII characters, which List Jobs shows.
        :param sns_topic: the ARN of the topic that is notified when the job ends.
        :param output_format: for an inventory, ``JSON`` or ``CSV``; ``None`` for JSON.
        :param inventory_retrieval_parameters: for a part of an inventory, ``{"StartDate", "EndDate", "Limit",
            "Marker"}`` or some of them: archives that were created from ``StartDate`` until before ``EndDate``, in ISO
            8601; at most ``Limit`` archives; ``Marker`` continues an earlier job, whose description shows it.
        :param account_id: 12 digits, or ``-`` for the account of the credentials.
        :raises InvalidArgument: an argument is not valid; no request was made.
        :raises JobMayHaveStarted: there was no usable answer; Glacier may have started the job.
        :raises VaultNotFound: the vault does not exist.
        :raises ArchiveNotFound: Glacier does not know the archive. For a deleted archive, it may start a job that fails
            later.
        :raises AccessDenied: the credentials may not start jobs.
        :raises PolicyEnforced: the data retrieval policy does not admit the job now.
        :raises InsufficientCapacity: there is no capacity for Expedited retrievals now.
        :raises TransientError: for another reason no job was started now; a later call may succeed.

        Source: Amazon Glacier API 2012-06-01, Initiate Job.
        """
        return self.initiate(
            JobRequest.checked(
                vault_name=vault_name,
                job_type=job_type,
                archive_id=archive_id,
                retrieval_byte_range=retrieval_byte_range,
                tier=tier,
                description=description,
                sns_topic=sns_topic,
                output_format=output_format,
                inventory_retrieval_parameters=inventory_retrieval_parameters,
                account_id=account_id,
            )
        )

    def initiate(self, request: JobRequest, guard: AttemptGuard | None = None) -> str:
        """Start a job as :meth:`initiate_job` does, from a request that is checked already.

        :param guard: prevents attempts that would be made too late.

        Example::

            request = JobRequest.checked(vault_name="photos", job_type="inventory-retrieval")
            job_id = hook.initiate(request)
        """
        action = f"Initiate Job for {request} in vault {request.vault_name} in {self._region_text()}"

        def start(client: Any) -> dict[str, Any]:
            with started_or_not(action):
                answer: dict[str, Any] = client.initiate_job(
                    vaultName=request.vault_name, accountId=request.account_id, jobParameters=request.parameters()
                )
            return answer

        job_id = self._call_once_only(action, start, guard or AttemptGuard()).get("jobId")
        if not job_id:
            raise uncertain(action, "the answer names no job")
        return str(job_id)

    def get_vault(self, vault_name: str, account_id: str = "-") -> dict[str, Any]:
        """Return the description of one vault, with all fields of the answer to Describe Vault.

        Example::

            archives = hook.get_vault("photos").get("NumberOfArchives")

        :param account_id: 12 digits, or ``-`` for the account of the credentials.
        :raises InvalidArgument: an argument is not valid; no request was made.
        :raises VaultNotFound: the vault does not exist; the message names the vault and the Region.
        :raises AccessDenied: the credentials may not describe this vault.
        :raises MalformedAnswer: the answer differs from AWS's documentation.
        :raises TransientError: no usable answer after the client's retries.

        Source: Amazon Glacier API 2012-06-01, Describe Vault.
        """
        parameters = {"vaultName": check_vault_name(vault_name), "accountId": check_account_id(account_id)}
        action = f"Describe Vault {vault_name} in {self._region_text()}"
        answer = self._call(action, lambda client: call_operation(client, "describe_vault", parameters).content)
        (vault,) = _objects([answer], "vault description", action, required=("VaultARN", "VaultName"))
        return vault

    def open_job_output(
        self, vault_name: str, job_id: str, start: int | None = None, end: int | None = None, account_id: str = "-"
    ) -> JobOutput:
        """Open the output of a succeeded job, or a range of its bytes, as a binary stream.

        An answer that is cut or too slow is an error, never an early end of the stream. Each MiB must arrive within
        ``answer_timeout_seconds`` of the hook's retry policy, and some bytes within the read time-out.

        Example::

            with hook.open_job_output("photos", job_id, 0, 1024 * 1024 - 1) as output:
                first_mebibyte = output.read()

        :param start: the first byte of the range, counted from the beginning of the job's own range; ``None`` with
            ``end=None`` for the whole output.
        :param end: the last byte of the range. The range ends earlier if the output does.
        :param account_id: 12 digits, or ``-`` for the account of the credentials.
        :return: the stream of the answer; close it, or use it in a ``with`` statement.
        :raises InvalidArgument: an argument is not valid; no request was made.
        :raises JobOutputNotReady: the job is in progress.
        :raises JobFailed: the job failed.
        :raises JobOutputExpired: the vault has no such job, or the job has expired.
        :raises RequestRefused: the job is a select job, whose output is on S3; or AWS refused the request.
        :raises VaultNotFound: the vault does not exist; the message names the vault and the Region.
        :raises AccessDenied: the credentials may not get this job's output.
        :raises MalformedAnswer: the answer differs from AWS's documentation.
        :raises TransientError: no usable answer after the client's retries, or the body was cut or too slow.

        Source: Amazon Glacier API 2012-06-01, Get Job Output.
        """
        return requested_output(self, self._output_request(vault_name, job_id, account_id), start, end)

    def open_resuming_job_output(self, vault_name: str, job_id: str, account_id: str = "-") -> ResumingJobOutput:
        """Open the whole output of a succeeded job as a binary stream that survives dropped connections.

        After a dropped or slow connection, the stream requests the output again from its position on, as often and for
        as long as the hook's retry policy allows without further bytes.

        Example::

            with hook.open_resuming_job_output("photos", job_id) as output:
                while block := output.read(1024 * 1024):
                    print(len(block))

        Arguments and errors are those of :meth:`open_job_output`.
        """
        return ResumingJobOutput(self, self._output_request(vault_name, job_id, account_id))

    def _output_request(self, vault_name: str, job_id: str, account_id: str) -> OutputRequest:
        if not isinstance(job_id, str) or not job_id:
            raise InvalidArgument(f"job_id is {job_id!r}; expected the id of one job")
        return OutputRequest(
            vault_name=check_vault_name(vault_name),
            job_id=job_id,
            account_id=check_account_id(account_id),
            describe=partial(self.get_job, vault_name, job_id, account_id),
        )

    def get_jobs_df(
        self,
        vault_name: str,
        statuscode: str | None = None,
        completed: bool | None = None,
        page_size: int | None = None,
        marker: str | None = None,
        account_id: str = "-",
    ) -> pd.DataFrame:
        """Return the jobs of one vault as a data frame with the columns and types of the Parquet table ``jobs``.

        Arguments and errors are those of :meth:`list_job_pages`. The data frame is not published; its observation id
        belongs to no published observation.

        Example::

            jobs_by_status = hook.get_jobs_df("photos").groupby("status_code").size()

        :return: one row a job, with Arrow-backed types; without jobs, an empty data frame with all columns. A value
            that does not fit its column is null there and kept in the column ``extra``.
        """
        import pandas as pd
        import pyarrow as pa

        from glacier_jobs.dataset.layout import new_observation
        from glacier_jobs.dataset.schema import JOBS
        from glacier_jobs.glacier.rows import ObservedPage, converted_pages
        from glacier_jobs.glacier.values import NO_ODD_VALUES

        began_at = datetime.now(timezone.utc)
        pages = self.list_job_pages(vault_name, statuscode, completed, page_size, marker, account_id)
        repeats = RepeatFilter()
        observation = None
        batches = []
        odd = NO_ODD_VALUES
        for page in pages:
            observed_at = datetime.now(timezone.utc)
            if jobs := list(repeats.new(page.jobs)):
                arn = VaultArn.parse(jobs[0]["VaultARN"])
                observation = observation or new_observation(arn.account_id, arn.region, began_at)
                observed = ObservedPage(jobs=jobs, observed_at=observed_at)
                converted = converted_pages([observed], observation=observation, vault_name=vault_name)
                batches.append(converted.batch)
                odd += converted.odd
        if message := odd.message("kept in the column extra"):
            self.log.warning("%s", message)
        frame: pd.DataFrame = pa.Table.from_batches(batches, schema=JOBS).to_pandas(types_mapper=pd.ArrowDtype)
        return frame

    def _region_text(self) -> str:
        return str(self.get_conn().meta.region_name)


def _decoded_records(body: bytes) -> dict[str, Any]:
    answer = decoded_records(body)
    return decoded_json(body) if answer is None else answer


def _objects(found: object, name: str, action: str, *, required: Sequence[str]) -> list[dict[str, Any]]:
    """Return a list of objects of an answer, after a check that each has the required fields."""
    items = _list(found, name, action)
    for item in items:
        if not isinstance(item, dict):
            raise MalformedAnswer(f"{action}: {name} holds {type(item).__name__}; expected objects")
        for field in required:
            if not isinstance(item.get(field), str):
                raise MalformedAnswer(
                    f"{action}: {name} holds an object whose {field} is {item.get(field)!r}; expected text"
                )
    return items


def _list(found: object, name: str, action: str) -> list[Any]:
    if not isinstance(found, list):
        raise MalformedAnswer(f"{action}: the answer's {name} is {type(found).__name__}; expected a list")
    return found


def _without_nulls(job: JobDescription) -> JobDescription:
    """Drop the null fields of the job and of its inventory parameters, as boto3 does."""
    kept = {name: value for name, value in job.items() if value is not None}
    parameters = kept.get("InventoryRetrievalParameters")
    if isinstance(parameters, dict):
        kept["InventoryRetrievalParameters"] = {name: value for name, value in parameters.items() if value is not None}
    return kept
