"""The hook, and with it the client, that all polls with the same connection settings share.

A client with its session takes about 8 MiB and an eighth of a second of CPU time; a vault takes little besides.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from glacier_jobs.errors import GlacierJobsError, ServiceUnavailable
from glacier_jobs.glacier.client import POLLING_RETRY_POLICY
from glacier_jobs.glacier.hook import GlacierJobsHook
from glacier_jobs.waiting.poll_threads import MOST_THREADS_PER_CLIENT, ThreadShare

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class ConnectionSettings:
    """The arguments of an operator or trigger that determine its client.

    :param botocore_config: JSON text, since it must be hashable.
    """

    aws_conn_id: str | None
    region_name: str | None
    verify: bool | str | None
    botocore_config: str

    @classmethod
    def of(
        cls,
        *,
        aws_conn_id: str | None,
        region_name: str | None,
        verify: bool | str | None,
        botocore_config: Mapping[str, Any] | None,
    ) -> ConnectionSettings:
        """Return the settings for these arguments."""
        return cls(
            aws_conn_id=aws_conn_id,
            region_name=region_name,
            verify=verify,
            botocore_config=json.dumps(botocore_config, sort_keys=True),
        )

    def hook(self) -> GlacierJobsHook:
        """Return a new hook with these settings, for as many concurrent polls as there may be."""
        return GlacierJobsHook(
            aws_conn_id=self.aws_conn_id,
            region_name=self.region_name,
            verify=self.verify,
            config=json.loads(self.botocore_config),
            max_requests=MOST_THREADS_PER_CLIENT,
            retry_policy=POLLING_RETRY_POLICY,
        )


class SharedHook:
    """The hook for some settings, whose client is built once, in a thread.

    :param threads: the threads of this client.
    """

    def __init__(self, settings: ConnectionSettings, threads: ThreadShare) -> None:
        self.threads = threads
        self._settings = settings
        self._hook: GlacierJobsHook | None = None
        self._building: asyncio.Future[GlacierJobsHook | GlacierJobsError] | None = None

    async def get(self, refused: GlacierJobsHook | None) -> GlacierJobsHook | GlacierJobsError:
        """Return the hook, built if necessary, or why it cannot be built.

        :param refused: a hook whose credentials were refused. If it is still the shared one, another is built, because
            the connection may have been corrected. Meanwhile, others use this one: it may be refused for one vault.
        """
        if self._hook is not None and self._hook is not refused:
            return self._hook
        if self._building is None:
            self._building = self._start_building()
        return await asyncio.shield(self._building)

    def _start_building(self) -> asyncio.Future[GlacierJobsHook | GlacierJobsError]:
        building = self.threads.submit(self._build)
        building.add_done_callback(self._built)
        return building

    def _build(self) -> GlacierJobsHook | GlacierJobsError:
        try:
            hook = self._settings.hook()
            hook.get_conn()
        except GlacierJobsError as error:
            return error
        except Exception as error:
            log.exception("The client for the connection %s cannot be built", self._settings.aws_conn_id)
            return ServiceUnavailable(
                f"the client for the connection {self._settings.aws_conn_id} cannot be built: "
                f"{type(error).__name__}: {error}"
            )
        return hook

    def _built(self, building: asyncio.Future[GlacierJobsHook | GlacierJobsError]) -> None:
        self._building = None
        built = building.result()
        if isinstance(built, GlacierJobsHook):
            self._hook = built
