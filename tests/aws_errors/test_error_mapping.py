from __future__ import annotations

import pytest
from botocore.exceptions import ClientError

from glacier_jobs.aws_errors.error_mapping import translated
from glacier_jobs.errors import AccessDenied, GlacierJobsError, RequestRefused, ServiceUnavailable, Throttled


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (500, ServiceUnavailable),
        (599, ServiceUnavailable),
        (499, RequestRefused),
        (400, RequestRefused),
        (401, AccessDenied),
        (402, RequestRefused),
        (403, AccessDenied),
        (428, RequestRefused),
        (429, Throttled),
        (430, RequestRefused),
    ],
)
def test_an_unknown_code_means_what_its_status_means(status: int, error: type[GlacierJobsError]) -> None:
    answer = {"Error": {"Code": "NeverSeenException"}, "ResponseMetadata": {"HTTPStatusCode": status}}

    with pytest.raises(error, match=f"NeverSeenException .HTTP {status}"), translated("List Jobs"):
        raise ClientError(answer, "ListJobs")  # type: ignore[arg-type]  # as AWS answers it, without the other fields
