"""The operator that starts a job once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow.providers.amazon.aws.utils.mixins import aws_template_fields

from glacier_jobs.glacier.initiation import JobRequest, JobType, Tier
from glacier_jobs.glacier.pagination import JobDescription
from glacier_jobs.links import GlacierVaultLink
from glacier_jobs.no_retries import without_retries
from glacier_jobs.operators.initiating import InitiatesJobs
from glacier_jobs.retrieval.tokens import LONGEST_OWN_DESCRIPTION

if TYPE_CHECKING:
    from airflow.sdk import Context


class GlacierInitiateJobOperator(InitiatesJobs):
    """Start one archive or inventory retrieval job, once, and optionally wait until it has succeeded.

    Glacier charges for each job, a job cannot be cancelled, and Initiate Job cannot tell a repeated request from a new
    one. So the description of the job ends with a token of this task: from the DAG, the run, the task, the map index
    and the parameters of the job, the same in each try. A request that Glacier may have received is not repeated. Each
    try but the first, and each request without an answer, looks for the job in the vault's list. If the list does not
    show it, the job is started again only after ``listing_delay`` (and six minutes), and two more complete listings.

    Example::

        GlacierInitiateJobOperator(
            task_id="start", vault_name="photos", job_type="archive-retrieval", archive_id="HkF9p6", tier="Bulk"
        )

    :param vault_name: the vault. (templated)
    :param job_type: ``archive-retrieval`` or ``inventory-retrieval``. (templated)
    :param archive_id: for an archive retrieval, the archive. (templated)
    :param retrieval_byte_range: the first and the last byte of the archive, ``start-end``; ``None`` for the whole.
        (templated)
    :param tier: ``Expedited``, ``Standard`` or ``Bulk``; ``None`` for Standard. (templated)
    :param description: up to 980 printable ASCII characters, which List Jobs shows before the token. (templated)
    :param sns_topic: the ARN of the topic that is notified when the job ends. (templated)
    :param output_format: for an inventory, ``JSON`` or ``CSV``; ``None`` for JSON. (templated)
    :param inventory_retrieval_parameters: for a part of an inventory, ``{"StartDate", "EndDate", "Limit", "Marker"}``
        or some of them. (templated)
    :param account_id: 12 digits, or ``-`` for the account of the credentials. (templated)
    :param reuse: with ``equal``, a job that another task or program started is used if it gives the same: the same
        archive and byte range, or the same inventory; not slower, if it is in progress; and with its output kept for
        ``min_hours_left`` more hours. With ``never``, only a job that an earlier try of this task started is used, and
        the first try lists no jobs. (templated)
    :param min_hours_left: for how many of its 24 hours Glacier keeps the output of such a job at least.
    :param listing_delay: how long Glacier may not list a new job, a ``timedelta`` or seconds; AWS does not document it.
    :param wait_for_completion: whether the task ends only when the job has succeeded.
    :param deferrable: whether it waits in the triggerer; the default is Airflow's ``[operators] default_deferrable``.
    :param poll_interval: the time between two polls, a ``timedelta`` or seconds; by default 60 seconds for the tier
        Expedited, and otherwise 10 minutes.
    :param wait_timeout: how long it waits, a ``timedelta`` or seconds.
    :param aws_conn_id: the Airflow connection for Glacier. (templated)
    :param region_name: the Region; ``None`` for that of the connection. (templated)
    :param verify: as in boto3. (templated)
    :param botocore_config: keywords of botocore's ``Config``. (templated)
    :return: as XCom, the job's description, which :class:`glacier_jobs.sensors.GlacierJobSensor` accepts as a
        ``job_id``. The XCom ``initiation`` is ``started``, or ``found`` if the job of an earlier try, or an equal job,
        is used.
    :raises AirflowFailException: an argument is not valid, Glacier refused the job, or the job failed or is missing.
        Airflow does not retry. If a person clears the task after the job failed, another job is started.
    :raises TransientError: no job was started (:class:`PolicyEnforced`, :class:`InsufficientCapacity`, throttling), or
        it is not known yet; Airflow's retries apply.
    """

    template_fields: Sequence[str] = aws_template_fields(
        "account_id",
        "archive_id",
        "botocore_config",
        "description",
        "inventory_retrieval_parameters",
        "job_type",
        "output_format",
        "retrieval_byte_range",
        "reuse",
        "sns_topic",
        "tier",
        "vault_name",
    )
    operator_extra_links = (GlacierVaultLink(),)
    ui_color = "#e0f0ea"

    def __init__(
        self,
        *,
        vault_name: str,
        job_type: JobType,
        archive_id: str | None = None,
        retrieval_byte_range: str | None = None,
        tier: Tier | None = None,
        description: str | None = None,
        sns_topic: str | None = None,
        output_format: str | None = None,
        inventory_retrieval_parameters: Mapping[str, Any] | None = None,
        wait_for_completion: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.vault_name = vault_name
        self.job_type = job_type
        self.archive_id = archive_id
        self.retrieval_byte_range = retrieval_byte_range
        self.tier = tier
        self.description = description
        self.sns_topic = sns_topic
        self.output_format = output_format
        self.inventory_retrieval_parameters = inventory_retrieval_parameters
        self.wait_for_completion = wait_for_completion

    def execute(self, context: Context) -> JobDescription:
        """Start the job, unless it can be found."""
        with without_retries():
            initiated = self._initiated(context, self._request())
            job = initiated.description
            context["ti"].xcom_push(key="initiation", value=initiated.initiation)
            GlacierVaultLink.persist(
                context=context,
                operator=self,
                region_name=self.hook.conn_region_name,
                aws_partition=self.hook.conn_partition,
                vault_name=self.vault_name,
            )
            self.log.info("The job %s was %s: %s", job["JobId"], initiated.initiation, job.get("StatusCode"))
            return self._completed(self.vault_name, job) if self.wait_for_completion else job

    def execute_complete(self, context: Context, event: Mapping[str, Any] | None = None) -> JobDescription:
        """Resume after the trigger's event."""
        with without_retries():
            return self._completed_after(event)

    def _request(self) -> JobRequest:
        return JobRequest.checked(
            vault_name=self.vault_name,
            job_type=self.job_type,
            archive_id=self.archive_id,
            retrieval_byte_range=self.retrieval_byte_range,
            tier=self.tier,
            description=self.description,
            sns_topic=self.sns_topic,
            output_format=self.output_format,
            inventory_retrieval_parameters=self.inventory_retrieval_parameters,
            account_id=self.account_id,
            longest_description=LONGEST_OWN_DESCRIPTION,
        )
