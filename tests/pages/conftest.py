"""Pages as a signed-in person has them: the real script and services, drawn without a browser."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from uuid import uuid4

import psycopg
import pytest
from streamlit.testing.v1 import AppTest

from pages.ui import context
from services.accounts.auth import SignedInUser
from services.accounts.visitors import Visitor
from services.config import PROJECT_ROOT
from services.runs.states import RunStatus
from services.studio import Studio
from services.workspace import Workspace
from tests.contract.conftest import new_studio  # noqa: F401 - a fixture
from tests.runs import Script

NAVIGATION = PROJECT_ROOT / "pages" / "navigation.py"
TIMEOUT_S = 60  # a busy machine is slow, not wrong
WORDS = ("title", "header", "subheader", "markdown", "caption", "text")
BOXES = ("info", "success", "warning", "error")
DOCUMENTS = {
    "dues.txt": "Ships pay harbour dues when they berth. The rate for tankers is 40 euros a day.",
    "soup.txt": "The canteen serves soup on Fridays. The cook comes from Marseille.",
    "pilot.txt": "The pilot boards a vessel two miles from port. A ladder hangs on the lee side.",
}


@dataclass
class Screen:
    """One browser tab: what stands on it, and what can be pressed."""

    app: AppTest
    page: str

    def draw(self) -> Screen:
        self.app.run()
        assert not self.app.exception, self.app.exception
        return self

    @property
    def words(self) -> str:
        """All that can be read, but for what is inside widgets."""
        shown = [e.value for kind in WORDS + BOXES for e in getattr(self.app, kind)]
        return "\n".join([*map(str, shown), *self.figures, *self.links])

    @property
    def figures(self) -> list[str]:
        return [f"{metric.label}: {metric.value}" for metric in self.app.metric]

    @property
    def links(self) -> list[str]:
        return [link.proto.label for link in self.app.get("page_link")]

    @property
    def problems(self) -> list[str]:
        return [box.value for kind in ("warning", "error") for box in getattr(self.app, kind)]

    @property
    def keys(self) -> set[str]:
        """The keys of the buttons that can be pressed."""
        return {button.key for button in self.app.button if not button.disabled}

    def press(self, key: str) -> Screen:
        button = self.app.button(key=key)
        assert not button.disabled, f"{key} cannot be pressed"
        button.click()
        return self.draw()


@pytest.fixture(scope="module")
def studio(new_studio) -> Studio:  # noqa: F811
    return new_studio()


@pytest.fixture(autouse=True)
def current(studio, monkeypatch) -> None:
    """Pages find this studio, as they find the one that the app starts."""
    monkeypatch.setattr("services.studio._current", studio)
    # AppTest answers each question about the browser with a mock.
    monkeypatch.setattr(context, "visitor", lambda: Visitor("203.0.113.7", None))


@pytest.fixture
def open_page() -> Callable[..., Screen]:
    """Opens a page in a tab of its own, as the person of a workspace or as nobody."""

    def open_(workspace: Workspace | None, page: str = "deep_memory.py", **state) -> Screen:
        app = AppTest.from_file(str(NAVIGATION), default_timeout=TIMEOUT_S)
        if workspace is None:
            app.session_state[context._SIGNED_OUT] = True  # AppTest has cookies of its own
        else:
            app.session_state[context._WORKSPACE] = workspace
        for key, value in state.items():
            app.session_state[key] = value
        screen = Screen(app, page)
        if page != "deep_memory.py":
            app.run()
            app.switch_page(page)
        return screen.draw()

    return open_


@pytest.fixture
def empty(studio, user: SignedInUser) -> Workspace:
    """The workspace of a person who has no documents yet."""
    return Workspace(studio, user)


@pytest.fixture
def workspace(empty: Workspace) -> Workspace:
    """The workspace of a person with three short documents."""
    empty.documents.add([(name, text.encode()) for name, text in DOCUMENTS.items()])
    return empty


@pytest.fixture
def run_in(workspace, service, owner: psycopg.Connection) -> Callable[[RunStatus], Script]:
    """Brings a run to a status; its worker is not given up while a page is drawn."""

    def bring(status: RunStatus) -> Script:
        script = Script(workspace.user, service).to(status)
        owner.execute(
            "update deep_memory_training_runs set lease_expires_at = now() + interval '1 hour'"
            " where id = %s and lease_expires_at is not null",
            (script.run.id,),
        )
        return script

    return bring


@pytest.fixture
def email() -> str:
    return f"{uuid4().hex}@example.com"
