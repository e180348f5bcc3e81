"""Someone signed in with a browser, whose runs a test puts into the database."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

import psycopg
import psycopg.sql
from playwright.sync_api import Locator, Page, expect

from services.runs.states import RunStatus
from tests.running_app import RunningApp

METRICS = {
    "before": {"recall@1": 0.3, "recall@3": 0.5, "recall@5": 0.6, "recall@10": 0.7, "mrr@10": 0.4,
               "ndcg@10": 0.5},
    "after": {"recall@1": 0.4, "recall@3": 0.6, "recall@5": 0.7, "recall@10": 0.8, "mrr@10": 0.5,
              "ndcg@10": 0.6},
    "held_out_questions": 20, "trained_questions": 80, "trained_chunks": 30, "train_seconds": 1.0,
    "verdict": "better", "intervals": {"recall@10": [0.02, 0.18]},
    "held_out_by": "chunk", "win_count": 25, "loss_count": 0, "losses": [],
    "wins": [{"question": f"Who pays {n}?", "before": None, "after": 2} for n in range(25)],
}  # fmt: skip


@dataclass(frozen=True)
class Analyst:
    """A signed-in person with a browser, whose runs the test puts into the database."""

    user_id: str
    page: Page
    dsn: str

    def has_run(self, status: RunStatus, *, pairs: int = 2, **columns: object) -> str:
        run_id = str(uuid.uuid4())
        values = {
            "id": run_id,
            "user_id": self.user_id,
            "status": status.value,
            "total_chunks": 80,
            "processed_chunks": 50,
            "lease_expires_at": "infinity" if status.is_active else None,
            **columns,
        }
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            if columns.get("set_aside"):  # as only migration 009 makes them, past its own triggers
                connection.execute("set session_replication_role = replica")
            connection.execute(
                psycopg.sql.SQL("insert into deep_memory_training_runs ({}) values ({})").format(
                    psycopg.sql.SQL(", ").join(map(psycopg.sql.Identifier, values)),
                    psycopg.sql.SQL(", ").join(psycopg.sql.Placeholder() * len(values)),
                ),
                list(values.values()),
            )
            for number in range(pairs):
                connection.execute(
                    "insert into deep_memory_training_pairs "
                    "(training_run_id, question_text, chunk_id, chunk_preview) "
                    "values (%s, %s, %s, 'a chunk')",
                    (run_id, f"Question {number}?", f"chunk-{number}"),
                )
        return run_id

    def set(self, run_id: str, column: str, value: object) -> None:
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            connection.execute(
                psycopg.sql.SQL(
                    "update deep_memory_training_runs set {} = %s where id = %s"
                ).format(psycopg.sql.Identifier(column)),
                (value, run_id),
            )

    def opens(self, app: RunningApp) -> None:
        self.page.goto(app.url)
        expect(self.page.get_by_text("Training history")).to_be_visible()

    def clicks_row(self, run_id: str) -> None:
        self.toggle(run_id).click()

    def toggle(self, run_id: str) -> Locator:
        # A button with a tip is there twice, for narrow screens and for wide ones.
        return self.row(run_id).locator(f".st-key-toggle_{run_id} button").filter(visible=True)

    def row(self, run_id: str) -> Locator:
        return self.page.locator(f".st-key-run_{run_id}")
