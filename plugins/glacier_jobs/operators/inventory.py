"""The operator that stores the inventory of a vault as Parquet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow.providers.amazon.aws.utils.mixins import aws_template_fields

from glacier_jobs.glacier.initiation import JobRequest
from glacier_jobs.glacier.pagination import JobDescription
from glacier_jobs.inventory.jobs import check_inventory_job, next_marker
from glacier_jobs.links import GlacierVaultLink
from glacier_jobs.no_retries import without_retries
from glacier_jobs.operators.initiating import InitiatesJobs
from glacier_jobs.uri_fields import ChecksUris
from glacier_jobs.waiting.job_ids import awaited_ids

if TYPE_CHECKING:
    from airflow.sdk import Context

#: The XCom with the descriptions of the pages that are complete, for the task that resumes after a deferral.
_PAGES = "pages"


class GlacierInventoryToParquetOperator(ChecksUris, InitiatesJobs):
    """Get the inventory of a vault, the list of its archives, and publish it as tables in Parquet.

    An inventory job is started once, as :class:`glacier_jobs.operators.GlacierInitiateJobOperator` does. When it has
    succeeded, its output is read as a stream into the tables ``archives`` and ``inventories``, as a whole or not at
    all. Glacier takes an inventory about once a day, and only if the vault has changed. An inventory that is stored
    already is recorded again without its rows.

    Example::

        GlacierInventoryToParquetOperator(
            task_id="inventory", vault_name="photos", dataset_uri="s3://aws_archive@my-bucket/glacier", deferrable=True
        )

    :param vault_name: the vault. (templated)
    :param dataset_uri: the dataset's root: ``file:///…``, ``s3://bucket/…``, or ``s3://conn_id@bucket/…`` with
        the Airflow connection of the bucket. (templated)
    :param job_id: an inventory job in JSON that was initiated already: its id or its description; or the jobs of all
        pages of an inventory, in their order. ``None`` to start a job. (templated)
    :param limit: the maximum number of archives of a job; ``None`` for all archives in one job. With a limit, one job a
        page is started, after the job of the page before. All jobs must succeed within 24 hours after the first, as
        long as Glacier keeps its output. (templated)
    :param account_id: 12 digits, or ``-`` for the account of the credentials. (templated)
    :param reuse: with ``equal``, an inventory job that another task or program started is used, unless it has a limit
        or dates. With ``never``, only a job that an earlier try of this task started is used. (templated)
    :param min_hours_left: for how many of its 24 hours Glacier keeps the output of such a job at least.
    :param listing_delay: how long Glacier may not list a new job, a ``timedelta`` or seconds; AWS does not document it.
    :param deferrable: whether it waits in the triggerer; the default is Airflow's ``[operators] default_deferrable``.
    :param poll_interval: the time between two polls, a ``timedelta`` or seconds; by default 10 minutes.
    :param wait_timeout: how long it waits for each job, a ``timedelta`` or seconds.
    :param aws_conn_id: the Airflow connection for Glacier. (templated)
    :param region_name: the Region; ``None`` for that of the connection. (templated)
    :param verify: as in boto3. (templated)
    :param botocore_config: keywords of botocore's ``Config``. (templated)
    :return: as XCom ``{"inventory_id", "inventory_at", "account_id", "region", "vault_name", "dataset_uri", "archives",
        "size_in_bytes", "scope", "rows_in"}``: ``inventory_at`` is when Glacier took the inventory, in ISO 8601,
        ``scope`` is ``full`` or ``filtered``, and ``rows_in`` is the id of the inventory whose file in ``archives`` has
        the rows.
    :raises AirflowFailException: a retry would fail again: the job failed, its inventory is not in JSON, or archives
        are missing in it.
    :raises TransientError: a later try may succeed; Airflow's retries apply.
    """

    template_fields: Sequence[str] = aws_template_fields(
        "account_id", "botocore_config", "dataset_uri", "job_id", "limit", "reuse", "vault_name"
    )
    operator_extra_links = (GlacierVaultLink(),)
    ui_color = "#e0f0ea"

    def __init__(
        self,
        *,
        vault_name: str,
        dataset_uri: str,
        job_id: Any = None,
        limit: int | str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.vault_name = vault_name
        self.dataset_uri = dataset_uri
        self._check_literal_uris()
        self.job_id = job_id
        self.limit = limit

    def _uris(self) -> Mapping[str, object]:
        return {"dataset_uri": self.dataset_uri}

    def execute(self, context: Context) -> dict[str, Any]:
        """Start the job, unless it can be found; wait for it, and store its inventory."""
        with without_retries():
            GlacierVaultLink.persist(
                context=context,
                operator=self,
                region_name=self.hook.conn_region_name,
                aws_partition=self.hook.conn_partition,
                vault_name=self.vault_name,
            )
            return self._stored(context, [])

    def execute_complete(self, context: Context, event: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Resume after the trigger's event."""
        with without_retries():
            completed = self._completed_after(event)
            ti: Any = context["ti"]
            earlier = ti.xcom_pull(task_ids=ti.task_id, map_indexes=ti.map_index, key=_PAGES) or []
            return self._stored(context, [*earlier, completed])

    def _stored(self, context: Context, pages: list[JobDescription]) -> dict[str, Any]:
        """Wait for the jobs of all pages, and store the inventory; or defer.

        :param pages: the descriptions of the jobs of the first pages, which have succeeded.
        """
        while (job := self._next_job(context, pages)) is not None:
            check_inventory_job(job)
            if self.deferrable:
                context["ti"].xcom_push(key=_PAGES, value=pages)
            pages = [*pages, self._completed(self.vault_name, job)]
        return self._published(context, pages)

    def _next_job(self, context: Context, pages: Sequence[JobDescription]) -> JobDescription | None:
        """Return the job of the page after these; ``None`` after the last page."""
        if self.job_id is not None:
            given = awaited_ids(self.job_id)
            if len(pages) == len(given):
                return None
            return self.hook.get_job(self.vault_name, given[len(pages)], self.account_id)
        marker = next_marker(pages[-1]) if pages else None
        if pages and marker is None:
            return None
        parameters = {"Limit": self.limit, "Marker": marker}
        request = JobRequest.checked(
            vault_name=self.vault_name,
            job_type="inventory-retrieval",
            output_format="JSON",
            inventory_retrieval_parameters={name: value for name, value in parameters.items() if value is not None},
            account_id=self.account_id,
        )
        return self._initiated(context, request).description

    def _published(self, context: Context, pages: Sequence[JobDescription]) -> dict[str, Any]:
        from glacier_jobs.dataset.storage import denials_without_credentials, open_dataset
        from glacier_jobs.inventory.record import record_inventory
        from glacier_jobs.operators.provenance import provenance_of

        dataset = open_dataset(self.dataset_uri)
        with denials_without_credentials(dataset.filesystem, self.dataset_uri, "dataset_uri"):
            published = record_inventory(
                self.hook, dataset, pages, account_id=self.account_id, provenance=provenance_of(context)
            )
        inventory = published.inventory
        return {
            "inventory_id": inventory.inventory_id,
            "inventory_at": inventory.inventory_at.isoformat(),
            "account_id": inventory.account_id,
            "region": inventory.region,
            "vault_name": inventory.vault_name,
            "dataset_uri": self.dataset_uri,
            "archives": published.archives,
            "size_in_bytes": published.size_in_bytes,
            "scope": published.scope,
            "rows_in": published.rows_in,
        }
