"""The page "Glacier jobs" in a real Airflow and a real browser, with a dataset for each of its states."""

from __future__ import annotations

import csv
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import boto3
import httpx
import pyarrow.parquet as pq
import pytest

from demo.past import add_past
from local_airflow.environment import airflow_environment, aws_connection
from local_airflow.rest import AirflowApi, wait_for
from local_airflow.standalone import USERNAME, free_port, running
from local_aws.client import Control
from local_aws.process import running as local_aws_running
from tests.drills.conftest import BROWSER_MILLISECONDS, Tab
from tests.drills.table import RecordDrill
from tests.hand_written import job, observe
from tests.many_jobs import VAULTS, publish_many
from tests.observations import local_dataset

pytestmark = pytest.mark.drill

VARIABLE = "glacier_jobs_dataset_uri"
MANY = 300_000

#: How often the page refreshes. The page's sources set this interval.
REFRESH_MILLISECONDS = 30_000

#: The number of jobs that the page shows once a filter has left fewer than ten.
A_FEW = re.compile(r"^\d jobs?$")

#: The folder for screenshots. None are taken if the variable is not set.
SCREENSHOTS = os.environ.get("GLACIER_JOBS_SCREENSHOTS")


@dataclass(frozen=True, kw_only=True)
class Server:
    """A running Airflow.

    :param url: the base URL, which may have a path, without a trailing slash.
    """

    url: str
    passwords: Path
    environment: dict[str, str]
    local_aws: Control

    def password(self, user: str) -> str:
        found: str = httpx.Response(200, content=self.passwords.read_bytes()).json()[user]
        return found

    def client(self, user: str = USERNAME) -> httpx.Client:
        """Return a client that is signed in as a user."""
        body = {"username": user, "password": self.password(user)}
        token = httpx.post(f"{self.url}/auth/token", json=body, timeout=60).raise_for_status().json()["access_token"]
        return httpx.Client(base_url=self.url, timeout=60, headers={"Authorization": f"Bearer {token}"})

    def show(self, dataset_uri: str | None) -> None:
        """Set the Airflow Variable in Airflow's database to a dataset's URI, or delete it."""
        with self.client() as client:
            client.delete(f"/api/v2/variables/{VARIABLE}")
            if dataset_uri is not None:
                body = {"key": VARIABLE, "value": dataset_uri}
                client.post("/api/v2/variables", json=body).raise_for_status()

    @contextmanager
    def unpaused(self, dag_id: str) -> Iterator[None]:
        """Unpause a DAG until the block ends."""
        with self.client() as client:
            client.patch(f"/api/v2/dags/{dag_id}", json={"is_paused": False}).raise_for_status()
            try:
                yield
            finally:
                client.patch(f"/api/v2/dags/{dag_id}", json={"is_paused": True}).raise_for_status()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """An Airflow with an administrator, and with a user ``norole`` who has no role."""
    home = tmp_path_factory.mktemp("airflow")
    with local_aws_running("--seed", "demo") as local_aws:
        environment = airflow_environment(home, endpoint=local_aws.endpoint, dataset=home / "unused")
        # The Variable comes from Airflow's database, as in production, and not from the environment.
        del environment[f"AIRFLOW_VAR_{VARIABLE.upper()}"]
        environment["AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS"] = f"{USERNAME}:admin,norole:"
        # The DAGs are paused. Otherwise the snapshot's hourly schedule could add to the dataset that a drill shows.
        with running(environment, paused=True) as standalone:
            yield Server(
                url=standalone.url,
                passwords=home / "passwords.json",
                environment=environment,
                local_aws=local_aws,
            )


def sign_in(page: Any, user: str, password: str) -> None:
    """Fill in and submit Airflow's sign-in form."""
    page.locator("input[type=password]").wait_for()
    page.locator("input:not([type=password])").first.fill(user)
    page.locator("input[type=password]").fill(password)
    page.get_by_role("button", name="Sign in").click()


@pytest.fixture(scope="module")
def signed_in(browser: Any, server: Server) -> Any:
    """The browser's storage state after signing in."""
    context = browser.new_context()
    context.set_default_timeout(BROWSER_MILLISECONDS)
    page = context.new_page()
    page.goto(f"{server.url}/auth/login")
    sign_in(page, USERNAME, server.password(USERNAME))
    page.get_by_role("link", name="Glacier jobs").wait_for()
    state = context.storage_state()
    context.close()
    return state


@dataclass(kw_only=True)
class Visit(Tab):
    """A browser tab in which the page is open."""

    server: Server

    def open(self, search: str = "") -> Any:
        """Open the page outside Airflow's UI, and wait until it has loaded completely."""
        self.page.goto(f"{self.server.url}/glacier_jobs/{search}")
        self.page.locator(".picture").nth(2).wait_for()
        for waiting in self.page.locator(".waiting").all():
            waiting.wait_for(state="detached")
        return self.page

    def open_in_airflow(self, search: str = "") -> Any:
        """Open the page in Airflow's UI, and wait until its charts have loaded."""
        self.page.goto(f"{self.server.url}/")
        self.page.get_by_role("link", name="Glacier jobs").click()
        frame = self.page.frame_locator("iframe[title='Glacier jobs']")
        frame.locator(".picture").nth(2).wait_for()
        return frame


@pytest.fixture
def visit(browser: Any, server: Server, signed_in: Any) -> Iterator[Visit]:
    """A tab of a signed-in user. At the end, checks that there were no errors and no requests to other hosts."""
    context = browser.new_context(storage_state=signed_in, viewport={"width": 1400, "height": 900})
    context.set_default_timeout(BROWSER_MILLISECONDS)
    visit = Visit(page=context.new_page(), server=server)
    # The clock runs normally until a drill moves it forward.
    visit.page.clock.install()
    yield visit
    context.close()
    assert visit.problems == []
    assert visit.requests
    assert [url for url in visit.requests if not url.startswith((f"{server.url}/", "data:", "blob:"))] == []


@pytest.fixture(scope="module")
def past(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The dataset that `make airflow` starts with. It has every kind of content."""
    folder = tmp_path_factory.mktemp("past")
    add_past(folder, now=datetime.now(timezone.utc))
    return folder.as_uri()


def shot(page: Any, name: str) -> None:
    if SCREENSHOTS:
        page.wait_for_timeout(500)
        page.screenshot(path=f"{SCREENSHOTS}/{name}.png")


class TestAccess:
    @pytest.mark.parametrize("route", ["", "static/page.js", "api/overview", "api/jobs.csv", "docs", "openapi.json"])
    def test_a_request_is_refused_signed_out_with_401_and_without_a_role_with_403(
        self, server: Server, route: str, record_drill: RecordDrill
    ) -> None:
        assert httpx.get(f"{server.url}/glacier_jobs/{route}").status_code == 401
        with server.client("norole") as client:
            assert client.get(f"/glacier_jobs/{route}").status_code == 403
        record_drill("the page's routes requested signed out, and without a role", "HTTP 401 and 403")

    def test_a_cookie_that_is_not_airflows_is_refused(self, server: Server, record_drill: RecordDrill) -> None:
        with httpx.Client(cookies={"_token": "made.up.token"}) as client:
            assert client.get(f"{server.url}/glacier_jobs/api/overview").status_code in (401, 403)
        record_drill("a cookie that is not Airflow's", "refused")

    def test_a_signed_out_user_is_redirected_to_sign_in_and_back(
        self, browser: Any, server: Server, past: str, record_drill: RecordDrill
    ) -> None:
        server.show(past)
        page = browser.new_page()
        page.set_default_timeout(BROWSER_MILLISECONDS)
        page.goto(f"{server.url}/plugin/glacier-jobs/glacier_jobs/?status=Failed")

        sign_in(page, USERNAME, server.password(USERNAME))

        frame = page.frame_locator("iframe[title='Glacier jobs']")
        frame.get_by_role("button", name="Remove the filter Status: Failed").wait_for()
        page.close()
        record_drill("a shared link opened signed out", "redirected to the sign-in page and back")

    def test_airflow_registers_the_plugin_once_and_without_import_errors(
        self, server: Server, record_drill: RecordDrill
    ) -> None:
        with server.client() as client:
            assert client.get("/api/v2/plugins/importErrors").json()["total_entries"] == 0
            plugins = client.get("/api/v2/plugins").json()["plugins"]

        [plugin] = [plugin for plugin in plugins if plugin["name"] == "glacier_jobs"]
        assert [view["name"] for view in plugin["external_views"]] == ["Glacier jobs"]
        record_drill("the plugin in a real Airflow", "no import error; registered once")


class TestStates:
    def test_without_a_dataset_the_page_says_what_to_do(self, visit: Visit, record_drill: RecordDrill) -> None:
        visit.server.show(None)

        visit.page.goto(f"{visit.server.url}/glacier_jobs/")

        visit.page.get_by_role("heading", name="No dataset is configured").wait_for()
        assert VARIABLE in visit.page.locator(".nothing-yet").inner_text()
        record_drill("the page without a dataset", "it says what to do")

    def test_an_open_page_shows_the_first_snapshot_on_s3_without_a_reload(
        self, visit: Visit, record_drill: RecordDrill
    ) -> None:
        server = visit.server
        boto3.client("s3", **server.local_aws.boto3_arguments()).create_bucket(Bucket="records")
        with server.client() as client:
            connection: dict[str, Any] = httpx.Response(200, text=aws_connection(server.local_aws.endpoint)).json()
            extra = httpx.Request("POST", "http://127.0.0.1", json=connection["extra"]).content.decode()
            client.post(
                "/api/v2/connections", json={**connection, "connection_id": "lake", "extra": extra}
            ).raise_for_status()
        server.show("s3://lake@records/glacier")
        visit.page.goto(f"{server.url}/glacier_jobs/")
        visit.page.get_by_role("heading", name="No observation yet").wait_for()
        assert "s3://lake@records/glacier" in visit.page.locator(".nothing-yet").inner_text()

        api = AirflowApi(server.url)
        api.log_in(USERNAME, server.password(USERNAME))
        wait_for("the DAG", lambda: True if "glacier_jobs_snapshot" in api.dag_ids() else None, seconds=120)
        # Stop the clock: otherwise a job could expire between the snapshot and the count below.
        server.local_aws.set_clock(speed=0)
        with server.unpaused("glacier_jobs_snapshot"):
            run_id = api.trigger("glacier_jobs_snapshot")
            assert api.finished_run("glacier_jobs_snapshot", run_id, seconds=240)["state"] == "success"

        visit.page.locator("tbody .open").first.wait_for()
        expected = sum(len(list(server.local_aws.jobs(region=region))) for region in ("us-east-1", "eu-west-1"))
        assert visit.page.locator(".matches").inner_text() == f"{expected:,} jobs"
        record_drill(
            "the page opened before the first snapshot, on an empty bucket", "shows the first jobs without a reload"
        )

    def test_the_page_says_that_it_is_loading(self, visit: Visit, past: str, record_drill: RecordDrill) -> None:
        visit.server.show(past)
        held: list[Any] = []
        visit.page.route("**/api/overview", lambda route: held.append(route), times=1)
        visit.page.goto(f"{visit.server.url}/glacier_jobs/")

        visit.page.get_by_text("Reading the newest listings").wait_for()
        assert visit.page.locator("tbody .open").count() == 0
        [route] = held
        route.continue_()

        visit.page.locator("tbody .open").first.wait_for()
        record_drill("the page while the response is held back", "says that it is loading; then shows the jobs")

    @pytest.fixture
    def all_well(self, server: Server, tmp_path: Path) -> datetime:
        """Show a dataset in which nothing needs attention, and return the time of its only observation."""
        now = datetime.now(timezone.utc)
        observe(local_dataset(tmp_path), now, {"photos": [job("a", created=now - timedelta(hours=1), Tier="Bulk")]})
        server.show(tmp_path.as_uri())
        return now

    @pytest.mark.usefixtures("all_well")
    def test_the_page_says_that_nothing_needs_attention(self, visit: Visit, record_drill: RecordDrill) -> None:
        page = visit.open()

        page.get_by_text("Nothing needs attention").wait_for()
        shot(page, "well")
        record_drill("the page when nothing needs attention", "says so")

    def test_an_open_page_does_not_say_that_all_is_well_when_it_cannot_check(
        self, visit: Visit, all_well: datetime, record_drill: RecordDrill
    ) -> None:
        page = visit.open()
        page.get_by_text("Nothing needs attention").wait_for()
        reads: list[str] = []

        def with_later_read_at(route: Any) -> None:
            """Answer as the server does when time has passed and there is no new snapshot."""
            answer = route.fetch()
            reads.append(f"{all_well + timedelta(minutes=15 * (len(reads) + 1)):%Y-%m-%dT%H:%M:%SZ}")
            route.fulfill(response=answer, json={**answer.json(), "read_at": reads[-1]})

        page.route("**/api/overview", with_later_read_at)
        page.route("**/api/watch", lambda route: route.fulfill(status=503, json={"detail": "The store is away."}))
        page.clock.run_for(REFRESH_MILLISECONDS)

        page.get_by_text("The store is away.").wait_for()
        assert page.get_by_text("Nothing needs attention").count() == 0
        page.unroute("**/api/watch")
        page.clock.run_for(REFRESH_MILLISECONDS)
        page.get_by_text("Nothing needs attention").wait_for()
        assert all("503" in problem for problem in visit.problems)
        visit.problems.clear()
        record_drill("an open page whose check for late vaults fails", "no longer says that nothing needs attention")

    def test_an_open_page_does_not_say_that_all_is_well_while_newer_jobs_need_attention(
        self, visit: Visit, all_well: datetime, record_drill: RecordDrill
    ) -> None:
        page = visit.open()
        page.get_by_text("Nothing needs attention").wait_for()
        failed = {
            "job_id": "failed", "job_description": None, "status_message": "Archive not found", "creation_date": None,
            "completion_date": None, "vault_name": "photos", "vault_arn": "arn:photos", "region": "us-east-1",
            "account_id": "123456789012",
        }  # fmt: skip

        def with_failed_job(route: Any) -> None:
            """Answer as the server does after a newer snapshot."""
            answer = route.fetch()
            read_at = f"{all_well + timedelta(minutes=15):%Y-%m-%dT%H:%M:%SZ}"
            newer = {**answer.json(), "read_at": read_at, "failed": {"total": 1, "rows": [failed]}}
            route.fulfill(response=answer, json=newer)

        page.route("**/api/overview", with_failed_job)
        page.route("**/api/watch", lambda route: None)
        page.clock.run_for(REFRESH_MILLISECONDS)

        page.get_by_text("Archive not found").wait_for()
        assert page.get_by_text("Nothing needs attention").count() == 0
        record_drill(
            "an open page shows a newer failed job before it has looked for gaps",
            "does not say that nothing needs attention",
        )

    def test_a_slow_response_is_waited_for_and_not_requested_again(
        self, visit: Visit, past: str, record_drill: RecordDrill
    ) -> None:
        visit.server.show(past)
        held: list[Any] = []
        visit.page.route("**/api/overview", lambda route: held.append(route))
        visit.page.goto(f"{visit.server.url}/glacier_jobs/")
        visit.page.get_by_text("Reading the newest listings").wait_for()

        visit.page.clock.run_for(4 * REFRESH_MILLISECONDS)

        [route] = held
        route.fulfill(status=503, json={"detail": "The dataset does not answer in time."})
        visit.page.get_by_text("The dataset does not answer in time.").wait_for()
        visit.page.clock.run_for(REFRESH_MILLISECONDS)
        # The request is reported before it is held.
        while len(held) < 2:
            visit.page.wait_for_timeout(20)
        held[1].continue_()
        visit.page.locator("tbody .open").first.wait_for()
        assert all("503" in problem for problem in visit.problems)
        visit.problems.clear()
        record_drill("a response that takes longer than the refresh interval", "waited for; requested once")

    def test_a_dataset_that_cannot_be_read_is_reported_and_can_be_tried_again(
        self, visit: Visit, tmp_path: Path, record_drill: RecordDrill
    ) -> None:
        dataset = local_dataset(tmp_path)
        observation = observe(dataset, datetime.now(timezone.utc), {"photos": [job("a")]})
        path = Path(dataset.path("jobs", observation.observation_id))
        body = path.read_bytes()
        path.write_bytes(b"not Parquet")
        visit.server.show(tmp_path.as_uri())
        visit.page.goto(f"{visit.server.url}/glacier_jobs/")
        problem = visit.page.get_by_role("alert")
        problem.get_by_text("The dataset cannot be read").wait_for()
        shot(visit.page, "problem")

        path.write_bytes(body)
        problem.get_by_role("button", name="Try again").click()

        visit.page.locator("tbody .open").first.wait_for()
        assert all("502" in problem for problem in visit.problems)
        visit.problems.clear()
        record_drill("the page on a file that is not Parquet", "reports it; after a retry, shows the jobs")

    def test_when_the_session_ends_the_page_says_so_and_keeps_showing_the_jobs(
        self, visit: Visit, past: str, record_drill: RecordDrill
    ) -> None:
        visit.server.show(past)
        page = visit.open()
        page.context.clear_cookies()

        page.get_by_role("button", name="Refresh").click()

        page.get_by_text("Your Airflow session has ended").first.wait_for()
        assert page.locator("tbody .open").count() > 0
        assert all("401" in problem for problem in visit.problems)
        visit.problems.clear()
        record_drill("the session ends while the page is open", "the page says so and keeps showing the jobs")

    def test_a_newer_listing_keeps_focus_scroll_position_and_page_number(
        self, visit: Visit, tmp_path: Path, record_drill: RecordDrill
    ) -> None:
        dataset, now = local_dataset(tmp_path), datetime.now(timezone.utc)
        jobs = [job(f"job-{number}", created=now - timedelta(hours=2), Tier="Bulk") for number in range(90)]
        observe(dataset, now - timedelta(hours=1), {"photos": jobs})
        visit.server.show(tmp_path.as_uri())
        page = visit.open("?size=25&page=2&sort=job_id")
        page.get_by_role("button", name=re.compile("job-41")).focus()
        top = page.evaluate("scrollY")
        assert top > 0

        observe(dataset, now, {"photos": [*jobs, job("newer")]})

        page.get_by_text("91 jobs", exact=True).wait_for()
        assert "job-41" in page.evaluate("document.activeElement.innerText")
        assert page.evaluate("scrollY") == top
        assert page.locator(".paging p").inner_text() == "26 to 50 of 91"
        assert "A newer listing is shown" in page.locator("body > #page > [aria-live]").inner_text()
        record_drill("a newer listing while the page is open", "shown; focus, scroll position and page number are kept")


@pytest.mark.usefixtures("past")
class TestEveryKindOfContent:
    @pytest.fixture(autouse=True)
    def _shown(self, server: Server, past: str) -> None:
        server.show(past)

    def test_what_needs_attention_is_on_top(self, visit: Visit, record_drill: RecordDrill) -> None:
        page = visit.open()

        cards = {
            re.sub(r"^[0-9,]+\s+", "", heading): int(re.sub(r"\D", "", heading))
            for heading in page.locator(".card h3").all_inner_texts()
        }
        assert list(cards) == [
            "Outputs to download",
            "Failed",
            "Slower than typical",
            "Vaults not listed",
            "Gaps in coverage",
        ]
        assert all(number > 0 for number in cards.values())
        assert page.get_by_text("AccessDeniedException").is_visible()
        assert page.locator(".age", has_text="Newest listing").is_visible()
        record_drill("the page with every kind of content", "what needs attention is on top")

    def test_filters_order_and_page_number_are_in_airflows_url(self, visit: Visit, record_drill: RecordDrill) -> None:
        frame, page = visit.open_in_airflow(), visit.page
        shot(page, "light")
        frame.locator(".filters").get_by_role("button", name="Status").click()
        frame.get_by_label("Succeeded").check()
        frame.get_by_role("columnheader", name="Size").get_by_role("button").click()
        page.wait_for_url(re.compile("sort=-bytes"))
        frame.get_by_label("Rows").select_option("25")
        frame.get_by_role("button", name="Next").click()
        page.wait_for_url(re.compile("page=2"))
        frame.locator(".paging p", has_text="26 to 50").wait_for()
        shown = frame.locator("tbody .id").all_inner_texts()
        assert len(shown) == 25

        shared = page.url
        page.goto("about:blank")
        page.goto(shared)

        frame.locator(".paging p", has_text="26 to 50").wait_for()
        assert frame.locator("tbody .id").all_inner_texts() == shown
        assert frame.get_by_role("columnheader", name="Size").get_attribute("aria-sort") == "descending"
        frame.get_by_role("button", name="Remove the filter Status: Succeeded").click()
        page.wait_for_function("!location.search.includes('status=')")
        record_drill("filters, order and page number in the URL", "the shared link shows the same jobs")

    def test_a_search_shows_only_the_matching_jobs(self, visit: Visit, record_drill: RecordDrill) -> None:
        page = visit.open()

        page.get_by_placeholder("Id, description, message, vault").fill("<SCRIPT>")
        page.wait_for_url(re.compile("q="))
        page.locator(".matches", has_text=A_FEW).wait_for()

        texts = page.locator("tbody .description").all_inner_texts()
        assert texts
        assert all(text.startswith("<script>alert(") for text in texts)
        record_drill("a search for `<SCRIPT>`", "found as text")

    def test_a_space_is_kept_when_typing_pauses_after_it(self, visit: Visit, record_drill: RecordDrill) -> None:
        page = visit.open()
        search = page.get_by_placeholder("Id, description, message, vault")

        search.press_sequentially("audit ")
        page.wait_for_url(re.compile("q=audit$"))
        page.locator(".matches", has_text=re.compile(r"^[0-9]{1,2} jobs?$")).wait_for()
        search.press_sequentially("sample")

        page.wait_for_url(re.compile("q=audit[+]sample"))
        assert search.input_value() == "audit sample"
        record_drill("a search typed with a pause after a space", "the space is kept")

    def test_a_filter_that_matches_nothing_says_so(self, visit: Visit, record_drill: RecordDrill) -> None:
        page = visit.open("?q=nothing+like+this")

        assert page.get_by_text("No job matches these filters.").is_visible()
        record_drill("filters that match nothing", "the page says so")

    def test_a_job_opens_by_keyboard_shows_its_history_and_returns_the_focus(
        self, visit: Visit, record_drill: RecordDrill
    ) -> None:
        page = visit.open("?status=Failed")
        opener = page.locator("tbody .open").first
        opener.focus()
        page.keyboard.press("Enter")
        dialog = page.get_by_role("dialog")
        dialog.locator(".facts").wait_for()

        assert dialog.get_by_text("Seen as “Failed”").is_visible()
        assert dialog.get_by_text("Created").is_visible()
        assert dialog.locator("dt", has_text="status message").is_visible()
        page.keyboard.press("Tab")
        assert page.evaluate("document.querySelector('dialog').contains(document.activeElement)")
        shot(page, "job")
        address = page.url
        page.keyboard.press("Escape")
        dialog.wait_for(state="detached")
        assert opener.evaluate("element => element === document.activeElement")

        page.goto(address)
        page.get_by_role("dialog").locator(".facts").wait_for()
        page.go_back()
        page.get_by_role("dialog").wait_for(state="detached")
        record_drill("a job opened and closed by keyboard", "the focus stays in the dialog, then returns")

    def test_a_card_of_what_needs_attention_leads_to_its_jobs(self, visit: Visit, record_drill: RecordDrill) -> None:
        page = visit.open()

        page.locator(".card", has_text="Failed").get_by_role("button", name=re.compile("^Show all")).click()

        page.wait_for_url(re.compile("status=Failed"))
        page.locator(".matches", has_text=A_FEW).wait_for()
        assert set(page.locator(".jobs .status").all_inner_texts()) == {"Failed"}
        assert page.evaluate("document.activeElement.id") == "jobs"
        record_drill("a click from what needs attention to the jobs", "only those jobs are shown")

    def test_filtered_jobs_can_be_downloaded(self, visit: Visit, tmp_path: Path, record_drill: RecordDrill) -> None:
        page = visit.open_in_airflow()
        page.locator(".filters").get_by_role("button", name="Status").click()
        page.get_by_label("Failed").check()
        page.get_by_role("button", name="Remove the filter Status: Failed").wait_for()
        count = int(page.locator(".matches", has_text=A_FEW).inner_text().split()[0])
        for file_format in ("CSV", "Parquet"):
            with visit.page.expect_download() as download:
                page.get_by_role("link", name=file_format).click()
            download.value.save_as(tmp_path / file_format)

        rows = list(csv.DictReader((tmp_path / "CSV").read_text().splitlines()))
        assert [row["status_code"] for row in rows] == ["Failed"] * count
        assert pq.read_table(tmp_path / "Parquet").num_rows == count
        record_drill("filtered jobs downloaded", "the same jobs, as CSV and as Parquet")

    def test_each_chart_shows_its_numbers_on_hovering_and_as_a_table(
        self, visit: Visit, record_drill: RecordDrill
    ) -> None:
        page = visit.open()

        for chart in page.locator(".picture").all():
            chart.scroll_into_view_if_needed()
            box = chart.locator(".u-over").bounding_box()
            at_rest = chart.locator(".u-legend .u-series:first-child .u-value").inner_text()
            assert re.match(r"20\d\d-\d\d-\d\d", at_rest)
            page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + box["height"] / 2)
            page.mouse.move(box["x"] + box["width"] * 0.6, box["y"] + box["height"] / 2)
            chart.locator(".u-legend .u-series:first-child .u-value:not(:text-is('" + at_rest + "'))").wait_for()
            page.mouse.move(0, 0)
            chart.locator(".u-legend .u-series:first-child .u-value:text-is('" + at_rest + "')").wait_for()
            chart.get_by_text("As a table").click()
            chart.locator("table:not(.u-legend) tbody tr").nth(3).wait_for()
        shot(page, "tables")
        record_drill("each chart at rest, hovered over and as a table", "shows its numbers, at rest the newest")

    def test_the_page_follows_airflows_dark_mode(self, visit: Visit, record_drill: RecordDrill) -> None:
        frame, page = visit.open_in_airflow(), visit.page
        background = "getComputedStyle(document.body).backgroundColor"
        inner = next(frame for frame in page.frames if frame.url.startswith(f"{visit.server.url}/glacier_jobs/"))
        light = inner.evaluate(background)

        page.evaluate("document.documentElement.classList.replace('light', 'dark')")

        frame.locator("html.dark").wait_for()
        assert inner.evaluate(background) != light
        page.evaluate("localStorage.setItem('theme', 'dark')")
        page.reload()
        frame.locator("html.dark .picture").nth(2).wait_for()
        frame.locator(".paging").evaluate("element => element.scrollIntoView({block: 'start'})")
        shot(page, "dark")
        record_drill("Airflow switched to dark mode while the page is open", "the page is dark, too")

    @pytest.mark.parametrize("theme", ["light", "dark"])
    @pytest.mark.parametrize("width", [1400, 390])
    def test_axe_finds_only_minor_violations(
        self, visit: Visit, theme: str, width: int, record_drill: RecordDrill
    ) -> None:
        axe = pytest.importorskip(
            "axe_playwright_python.sync_playwright", reason="the Python package axe-playwright-python is not installed"
        ).Axe()
        visit.page.add_init_script(f"localStorage.setItem('theme', '{theme}')")
        visit.page.set_viewport_size({"width": width, "height": 844})

        def violations() -> list[str]:
            found = axe.run(visit.page).response["violations"]
            return [f"{each['id']}: {each['nodes'][0]['html']}" for each in found if each["impact"] != "minor"]

        page = visit.open()
        assert violations() == []
        page.locator(".filters").get_by_role("button", name="Vault").click()
        page.locator(".picture details summary").first.click()
        assert violations() == []
        page.keyboard.press("Escape")
        page.locator("tbody .open").first.click()
        page.locator(".facts").wait_for()
        assert violations() == []
        record_drill("axe on the page: light and dark, wide and narrow", "only minor findings")

    @pytest.mark.parametrize("width", [320, 390, 700, 1024])
    def test_nothing_is_wider_than_a_narrow_window(self, visit: Visit, width: int, record_drill: RecordDrill) -> None:
        visit.page.set_viewport_size({"width": width, "height": 844})

        page = visit.open()

        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.locator(".table-frame").first.evaluate("frame => frame.scrollWidth - frame.clientWidth") <= 0
        shot(page, f"{width}")
        page.locator("#jobs").evaluate("element => element.scrollIntoView()")
        shot(page, f"{width}-jobs")
        page.locator("tbody .open").first.click()
        page.locator(".facts").wait_for()
        assert page.evaluate("document.querySelector('dialog').scrollWidth") <= width
        record_drill("windows of 320 to 1,024 pixels", "nothing is wider than the window")

    @pytest.mark.parametrize("theme", ["light", "dark"])
    @pytest.mark.parametrize("width", [400, 800, 1280, 1920])
    def test_no_card_has_a_wide_gap(self, visit: Visit, width: int, theme: str, record_drill: RecordDrill) -> None:
        visit.page.add_init_script(f"localStorage.setItem('theme', '{theme}')")
        visit.page.set_viewport_size({"width": width, "height": 900})
        page = visit.open()

        frame = page.locator(".cards").bounding_box()
        cards = page.locator(".card").all()
        assert len(cards) == 5
        for card in cards:
            box = card.bounding_box()
            texts = [text.bounding_box() for text in card.locator("h3, p, button, summary, .item").all()]
            shown = [text for text in texts if text is not None]
            assert box["width"] == pytest.approx(frame["width"], abs=1)
            assert box["y"] + box["height"] - max(text["y"] + text["height"] for text in shown) < 32
            assert box["x"] + box["width"] - max(text["x"] + text["width"] for text in shown) < 32
        shot(page, f"cards-{theme}-{width}")
        record_drill("the cards at 400 to 1,920 pixels, light and dark", "no larger than their content")


class TestIds:
    """A job's ids can be copied, whichever permissions the browser gives the page."""

    @pytest.fixture(autouse=True)
    def _shown(self, server: Server, past: str) -> None:
        server.show(past)

    @staticmethod
    def copy(page: Any, *, says: str) -> str:
        """Open a job, press the button that copies its id, and return the displayed id."""
        page.locator("tbody .open").first.click()
        button = page.get_by_role("button", name="Copy job id")
        button.click()
        fact = page.locator(".copyable", has=button)
        fact.get_by_role("status").filter(has_text=says).wait_for()
        shown: str = fact.locator("span").first.inner_text()
        assert len(shown) > 80
        return shown

    def test_an_id_is_copied_to_the_clipboard(self, visit: Visit, record_drill: RecordDrill) -> None:
        visit.page.context.grant_permissions(["clipboard-read", "clipboard-write"], origin=visit.server.url)
        page = visit.open()

        shown = self.copy(page, says="Copied")

        assert page.evaluate("navigator.clipboard.readText()") == shown
        record_drill("an id copied with its button", "on the clipboard")

    def test_an_id_is_copied_inside_airflow_over_plain_http(self, visit: Visit, record_drill: RecordDrill) -> None:
        # On a page that was not loaded over HTTPS, browsers give scripts no clipboard.
        visit.page.add_init_script("Object.defineProperty(navigator, 'clipboard', {value: undefined})")
        frame = visit.open_in_airflow()

        shown = self.copy(frame, says="Copied")

        visit.page.keyboard.press("Escape")
        frame.get_by_role("dialog").wait_for(state="detached")
        search = frame.get_by_placeholder("Id, description, message, vault")
        search.focus()
        visit.page.keyboard.press("Control+v")
        assert search.input_value() == shown
        record_drill("an id copied in Airflow's frame over plain HTTP", "on the clipboard")

    def test_an_id_that_cannot_be_copied_is_selected(self, visit: Visit, record_drill: RecordDrill) -> None:
        visit.page.add_init_script("Object.defineProperty(navigator, 'clipboard', {value: undefined})")
        visit.page.add_init_script("document.execCommand = () => false")
        page = visit.open()

        shown = self.copy(page, says="Selected: press Ctrl+C to copy")

        assert page.evaluate("getSelection().toString()") == shown
        record_drill("an id that the browser refuses to copy", "selected; the page says which keys copy it")


class TestLongDescriptions:
    LONG = "x" * 1024

    @pytest.fixture(autouse=True)
    def _shown(self, server: Server, tmp_path: Path) -> None:
        now = datetime.now(timezone.utc)
        long = job("long", created=now - timedelta(hours=30), Tier="Standard", JobDescription=self.LONG)
        observe(local_dataset(tmp_path), now, {"photos": [long, job("short", created=now, Tier="Bulk")]})
        server.show(tmp_path.as_uri())

    @pytest.mark.parametrize("width", [390, 1400])
    def test_a_long_description_takes_a_few_lines_until_it_is_expanded(
        self, visit: Visit, width: int, record_drill: RecordDrill
    ) -> None:
        visit.page.set_viewport_size({"width": width, "height": 800})
        page = visit.open("?sort=creation_date")
        description = page.locator("tbody .description").first

        assert description.get_attribute("title") == self.LONG
        assert description.bounding_box()["height"] < 60
        assert all(card.bounding_box()["height"] < 300 for card in page.locator(".card").all())
        description.click()
        dialog = page.get_by_role("dialog")
        dialog.locator(".facts").wait_for()
        assert dialog.bounding_box()["height"] <= 800
        assert dialog.locator("header").bounding_box()["height"] < 100
        fact = dialog.locator(".facts div", has_text="job description")
        assert fact.bounding_box()["height"] < 150
        shot(page, f"long-{width}")

        more = fact.get_by_role("button", name="Show all 1,024 characters")
        assert more.get_attribute("aria-expanded") == "false"
        more.click()

        less = fact.get_by_role("button", name="Show less")
        assert less.get_attribute("aria-expanded") == "true"
        text = fact.locator(".long")
        assert text.inner_text() == self.LONG
        assert text.evaluate("text => text.scrollHeight - text.getBoundingClientRect().height") < 2
        assert dialog.bounding_box()["height"] <= 800
        less.click()
        assert fact.bounding_box()["height"] < 150
        record_drill("a description of 1,024 characters without a space", "takes a few lines until it is expanded")


class TestOutliers:
    @pytest.mark.parametrize("theme", ["light", "dark"])
    def test_a_day_with_far_more_bytes_is_cut_and_labelled(
        self, visit: Visit, tmp_path: Path, theme: str, record_drill: RecordDrill
    ) -> None:
        dataset, now = local_dataset(tmp_path), datetime.now(timezone.utc)
        for days in range(8, 0, -1):
            completed = now - timedelta(days=days)
            done = job(f"{days}", "Succeeded", created=completed - timedelta(hours=4), completed=completed)
            size = 10**12 if days == 3 else 10**9 * days
            observe(dataset, completed + timedelta(hours=1), {"photos": [{**done, "ArchiveSizeInBytes": size}]})
        visit.server.show(tmp_path.as_uri())
        visit.page.add_init_script(f"localStorage.setItem('theme', '{theme}')")

        page = visit.open()

        volume = page.locator(".picture", has=page.get_by_role("heading", name="Volume by vault"))
        label = volume.locator(".cut-label")
        assert label.inner_text() == "931 GiB"
        assert volume.locator(".cut-mark").count() == 1
        assert volume.get_by_text("A triangle marks a value beyond the end of the axis.").is_visible()
        inner, outer = label.bounding_box(), volume.bounding_box()
        assert outer["x"] <= inner["x"]
        assert inner["x"] + inner["width"] <= outer["x"] + outer["width"]
        assert inner["y"] >= volume.locator("figcaption").bounding_box()["y"]
        page.set_viewport_size({"width": 700, "height": 900})
        assert volume.locator(".cut-label").count() == 1
        volume.scroll_into_view_if_needed()
        shot(page, f"outlier-{theme}")
        record_drill("a day with a hundred times the bytes of the others", "cut at the end of the axis, with its value")


class TestManyJobs:
    def test_hundreds_of_thousands_of_jobs_can_be_sorted_searched_and_paged(
        self, visit: Visit, tmp_path_factory: pytest.TempPathFactory, record_drill: RecordDrill
    ) -> None:
        folder = tmp_path_factory.mktemp("many")
        publish_many(local_dataset(folder), MANY, datetime.now(timezone.utc))
        visit.server.show(folder.as_uri())

        page = visit.open()

        assert page.locator(".matches").inner_text() == f"{MANY:,} jobs"
        page.get_by_role("button", name="Last page").click()
        page.locator(".paging p", has_text=f"of {MANY:,}").wait_for()
        page.wait_for_url(re.compile(f"page={MANY // 50}"))
        page.locator(".paging p", has_text=f"{MANY - 49:,} to {MANY:,}").wait_for()
        page.get_by_placeholder("Id, description, message, vault").fill("file 123456")
        page.get_by_text("1 job", exact=True).wait_for()
        assert page.locator("tbody .description").all_inner_texts() == ["file 123456"]
        page.get_by_role("button", name="Clear all").click()
        page.locator(".filters").get_by_role("button", name="Vault").click()
        page.get_by_label("Narrow down: Vault").fill("vault-07")
        page.get_by_label("vault-07").check()
        page.get_by_text(f"{MANY // VAULTS:,} jobs", exact=True).wait_for()
        page.locator("tbody .open").first.click()
        page.locator(".facts").wait_for()
        record_drill(f"the page with {MANY:,} jobs", "sorted, searched and paged")


class TestBelowAPath:
    @pytest.fixture
    def below_a_path(self, server: Server, past: str) -> Iterator[Server]:
        """A second API server, whose base URL has a path."""
        port = free_port()
        url = f"http://127.0.0.1:{port}/team-a"
        process = subprocess.Popen(
            [sys.executable, "-m", "airflow", "api-server"],
            env={
                **server.environment,
                "AIRFLOW__API__HOST": "127.0.0.1",
                "AIRFLOW__API__PORT": str(port),
                "AIRFLOW__API__BASE_URL": url,
                "AIRFLOW__API__WORKERS": "1",
                "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(server.passwords),
                f"AIRFLOW_VAR_{VARIABLE.upper()}": past,
            },
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

        def is_healthy() -> bool | None:
            try:
                return True if httpx.get(f"{url}/api/v2/monitor/health").is_success else None
            except httpx.TransportError:
                return None

        try:
            wait_for("the API server", is_healthy, seconds=120)
            yield Server(
                url=url, passwords=server.passwords, environment=server.environment, local_aws=server.local_aws
            )
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(30)

    def test_the_page_works_when_airflow_is_served_below_a_path(
        self, browser: Any, below_a_path: Server, record_drill: RecordDrill
    ) -> None:
        context = browser.new_context()
        context.set_default_timeout(BROWSER_MILLISECONDS)
        page = context.new_page()
        page.goto(f"{below_a_path.url}/plugin/glacier-jobs")
        sign_in(page, USERNAME, below_a_path.password(USERNAME))
        frame = page.frame_locator("iframe[title='Glacier jobs']")
        frame.locator(".picture").nth(2).wait_for()
        requested: list[str] = []
        page.on("request", lambda request: requested.append(request.url))

        frame.locator(".filters").get_by_role("button", name="Status").click()
        frame.get_by_label("Failed").check()
        page.wait_for_url(re.compile("status=Failed"))
        shared = page.url
        page.goto("about:blank")
        page.goto(shared)
        frame.get_by_role("button", name="Remove the filter Status: Failed").wait_for()

        assert requested
        assert [
            url for url in requested if not url.startswith((f"{below_a_path.url}/", "about:", "blob:", "data:"))
        ] == []
        context.close()
        record_drill("Airflow served below a path", "the page requests nothing outside it")


class TestTimesWithoutObservations:
    @pytest.mark.parametrize("theme", ["light", "dark"])
    def test_an_outage_is_hatched_and_labelled(
        self, visit: Visit, tmp_path: Path, theme: str, record_drill: RecordDrill
    ) -> None:
        dataset, now = local_dataset(tmp_path), datetime.now(timezone.utc)
        for hours in range(8 * 24, 0, -1):
            if not 40 < hours < 75:
                jobs = [job(f"{number}", created=now - timedelta(days=9)) for number in range(40)]
                observe(dataset, now - timedelta(hours=hours), {"photos": jobs})
        visit.server.show(tmp_path.as_uri())
        visit.page.add_init_script(f"localStorage.setItem('theme', '{theme}')")

        page = visit.open()

        by_status = page.locator(".picture", has=page.get_by_role("heading", name="Jobs by status"))
        area = by_status.locator(".unobserved")
        assert area.inner_text() == "not observed"
        assert by_status.get_by_text("Hatched: no vault was listed for more than 3 h.").is_visible()
        inner, outer = area.bounding_box(), by_status.locator(".u-over").bounding_box()
        assert inner["width"] / outer["width"] == pytest.approx(34 / (7 * 24), abs=0.01)
        assert inner["height"] == pytest.approx(outer["height"], abs=1)
        by_status.get_by_text("As a table").click()
        missed = by_status.get_by_role("cell", name="no", exact=True)
        missed.first.wait_for()
        assert missed.count() == 34
        by_status.scroll_into_view_if_needed()
        shot(page, f"outage-{theme}")
        record_drill("34 hours without a listing", "hatched in the page's chart of jobs by status")
