"""URIs in the arguments of operators and sensors, checked before Airflow stores them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from glacier_jobs.dataset.uris import check_literal_uri, check_uri
from glacier_jobs.no_retries import arguments_refused

if TYPE_CHECKING:
    import jinja2
    from airflow.sdk import Context


class ChecksUris:
    """Mixed into an operator, before its base class.

    Airflow stores the arguments of a task when its DAG is parsed, and their rendered values before it calls
    ``execute``. So a URI that can hold a secret must be refused before each of them.
    """

    def _uris(self) -> Mapping[str, object]:
        """Return the URIs by the names of their arguments; ``None`` for those that are not given."""
        raise NotImplementedError

    def _check_uri(self, value: object, name: str) -> str:
        """Return a URI, checked without any request."""
        return check_uri(value, name)

    def _check_literal_uris(self) -> None:
        """Refuse URIs that are not valid, unless only a run knows them."""
        with arguments_refused():
            for name, value in self._uris().items():
                check_literal_uri(value, name, self._check_uri)

    def render_template_fields(self, context: Context, jinja_env: jinja2.Environment | None = None) -> None:
        """Render the templates of the arguments, and refuse URIs that are not valid."""
        super().render_template_fields(context, jinja_env)  # type: ignore[misc]  # of the operator
        with arguments_refused():
            for name, value in self._uris().items():
                if value is not None:
                    self._check_uri(value, name)
