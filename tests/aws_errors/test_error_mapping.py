from __future__ import annotations

import pytest
from botocore.exceptions import ClientError

from glacier_jobs.aws_errors.error_mapping import translated
from glacier_jobs.errors import GlacierJobsError, RequestRefused, ServiceUnavailable


@pytest.mark.parametrize(
    ("status", "error"), [(500, ServiceUnavailable), (599, ServiceUnavailable), (400, RequestRefused)]
)
def test_an_unknown_code_is_transient_with_the_status_of_a_server_error(
    status: int, error: type[GlacierJobsError]
) -> None:
    answer = {"Error": {"Code": "NeverSeenException"}, "ResponseMetadata": {"HTTPStatusCode": status}}

    with pytest.raises(error, match=f"NeverSeenException .HTTP {status}"), translated("List Jobs"):
        raise ClientError(answer, "ListJobs")  # type: ignore[arg-type]  # as AWS answers it, without the other fields
