"""The main job with the settings of DeepLake Cloud and OpenAI, against the two strict stand-ins."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from playwright.sync_api import FilePayload, Page, expect

from tests.browser.screens import sign_in_as_demo
from tests.embedded import temporary_data_dir
from tests.fakes.activeloop_server import FakeActiveloop
from tests.fakes.openai_server import FakeOpenAI, cut_off, refuse
from tests.fakes.wire import slow
from tests.running_app import RunningApp, run_app

DOCUMENTS = 12
WORDS = ("cargo", "harbour", "vessel", "customs", "storage", "mooring")
SPENT = re.compile(r"[\d,]+ tokens in, [\d,]+ out, \$\d+\.\d+")


@dataclass(frozen=True)
class Scene:
    app: RunningApp
    openai: FakeOpenAI
    cloud: FakeActiveloop


@pytest.fixture(scope="module")
def scene() -> Iterator[Scene]:
    """The app with nothing but settings between it and the real services."""
    with (
        temporary_data_dir() as data_dir,
        FakeOpenAI(latency_s=0.05) as openai,
        FakeActiveloop(data_dir.parent / "cloud") as cloud,
        run_app(
            data_dir,
            DEEPLAKE_PATH="hub://acme/kb",
            ACTIVELOOP_TOKEN=cloud.token,
            ACTIVELOOP_ENDPOINT=cloud.url,
            OPENAI_API_KEY=openai.key,
            OPENAI_BASE_URL=openai.base_url,
        ) as app,
    ):
        yield Scene(app, openai, cloud)


def test_the_main_job_runs_in_the_cloud_with_settings_alone(scene: Scene, page: Page) -> None:
    _sign_in_and_add_documents(scene, page)
    _generate(scene, page)
    _review(scene, page)
    _train(scene, page)
    _switch_on_and_search(scene, page)
    _stop_what_the_cloud_will_not_cancel(scene, page)


def _document(number: int) -> FilePayload:
    """One chunk in words of its own, so that a training can not make its search worse."""
    words = " ".join(f"{name}{number}" for name in WORDS)
    text = f"The {words} are kept for {number + 2} years."
    return {"name": f"Quay {number}.txt", "mimeType": "text/plain", "buffer": text.encode()}


def _sign_in_and_add_documents(scene: Scene, page: Page) -> None:
    sign_in_as_demo(scene.app, page)
    page.get_by_role("link", name="Go to the knowledge base").click()
    page.locator('input[type="file"]').set_input_files(
        [_document(number) for number in range(DOCUMENTS)]
    )
    page.get_by_role("button", name=f"Add {DOCUMENTS} files").click()
    expect(page.get_by_text(f"Added {DOCUMENTS} documents")).to_be_visible()
    assert scene.openai.calls("/embeddings")


def _generate(scene: Scene, page: Page) -> None:
    page.get_by_role("link", name="Next: train Deep Memory on them").click()
    estimate = page.get_by_text(re.compile(r"Writes up to"))
    expect(estimate).to_contain_text(re.compile(r"[\d,]+ tokens, about \$\d+\.\d+, with the "))
    expect(estimate).to_contain_text("gpt-4o-mini")
    scene.openai.fail(refuse, times=2, matching="/chat/")
    scene.openai.fail(cut_off, matching="/chat/")
    scene.openai.fail(slow(3.0), times=DOCUMENTS - 3, matching="/chat/")  # long enough to be seen
    page.get_by_role("button", name="Generate Training Data").click()
    expect(page.get_by_text(SPENT)).to_be_visible()
    expect(page.get_by_role("button", name="Start Training")).to_be_visible(timeout=90_000)


def _review(scene: Scene, page: Page) -> None:
    expect(page.get_by_text("2 refused, 1 cut off")).to_be_visible()
    assert len(scene.openai.calls("/chat/")) == DOCUMENTS
    page.get_by_role("button", name="Ask these 3 again").click()
    expect(page.get_by_text(f"{3 * DOCUMENTS} pairs from")).to_be_visible()
    expect(page.get_by_text("refused")).to_have_count(0)
    assert len(scene.openai.calls("/chat/")) == DOCUMENTS + 3
    page.get_by_text("Timeline, settings and cost").click()
    expect(page.get_by_text(SPENT)).to_be_visible()
    page.get_by_role("button", name="Edit", exact=False).first.click()
    question = page.get_by_label("Question", exact=True).first
    question.fill("Who keeps the keys of the archive?")
    question.press("Control+Enter")
    expect(page.get_by_test_id("stStatusWidget")).to_have_count(0)


def _train(scene: Scene, page: Page) -> None:
    scene.cloud.fail(slow(1.0), times=5, matching="/status")  # long enough to be seen
    page.get_by_role("button", name="Start Training").click()
    # What the service says of its job as it goes on.
    expect(page.get_by_text(re.compile(r"Training in DeepLake Cloud \(its own"))).to_be_visible()
    measured = page.get_by_text(re.compile("held-out questions that the app wrote itself"))
    expect(measured).to_be_visible(timeout=90_000)
    of_the_service = page.get_by_text(re.compile("DeepLake Cloud reports recall@10"))
    expect(of_the_service).to_contain_text(
        "recall@10 85.5% for its training (+2.6 points). Its figure is too optimistic"
    )
    [job_id] = scene.cloud.jobs
    expect(of_the_service).to_contain_text(job_id)
    assert "85.5%" not in measured.inner_text()
    page.get_by_text("Timeline, settings and cost").click()
    submitted = page.get_by_text(re.compile(rf"Submitted to DeepLake Cloud as job {job_id}$"))
    expect(submitted).to_have_count(1)


def _switch_on_and_search(scene: Scene, page: Page) -> None:
    page.get_by_role("button", name="Use this model").click()
    expect(page.get_by_text(re.compile("Search uses the model of .* now"))).to_be_visible()
    page.get_by_role("link", name="Search", exact=True).click()
    page.get_by_label("Question", exact=True).fill("how long is the cargo3 kept")
    page.get_by_role("button", name="Search", exact=True).click()
    expect(page.get_by_text(re.compile(r"\d+ up|same rank")).first).to_be_visible()
    assert scene.cloud.calls("/api/query/", "deepmemory_distance")


def _stop_what_the_cloud_will_not_cancel(scene: Scene, page: Page) -> None:
    scene.cloud.outcome, scene.cloud.refuses_to_cancel = "stuck", 409
    page.get_by_role("link", name="Deep Memory", exact=True).click()
    page.get_by_role("button", name="Generate Training Data").click()
    page.get_by_role("button", name="Start Training").click(timeout=90_000)
    expect(page.get_by_text(re.compile(r"Training in DeepLake Cloud \(its own"))).to_be_visible()
    page.get_by_role("button", name="Stop").first.click()
    goes_on = page.get_by_text(re.compile(r"refused to cancel the training .* goes on there"))
    expect(goes_on.first).to_be_visible()

    *_, job_id = scene.cloud.jobs
    scene.cloud.finish(job_id)
    page.get_by_role("link", name="Search", exact=True).click()
    page.get_by_label("Question", exact=True).fill("how long is the cargo3 kept")
    page.get_by_role("button", name="Search", exact=True).click()
    replaced = page.get_by_text(re.compile("a later training has replaced this one"))
    expect(replaced).to_contain_text("Search works without it. Use another model, or train again.")
    page.get_by_role("link", name="Deep Memory", exact=True).click()
    expect(page.get_by_text("replaced this one. Search works without it.")).to_be_visible()
