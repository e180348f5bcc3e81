"""What a person does with trained models: see which one search uses, turn it on or off, switch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, BinaryIO

from services.deep_memory.model_folder import model_file
from services.deep_memory.model_in_cloud import REPLACED_IN_CLOUD
from services.deep_memory.query_map import QueryMap
from services.errors import NotAllowed, StoreUnavailable
from services.models import DeepMemorySettings, TrainingRun
from services.person import Person
from services.retrieval.minilm_embedder import MiniLMEmbedder
from services.runs.states import RunStatus
from services.runs.store import run_from_row

_KEPT_BY_SERVICE = (
    "DeepLake Cloud keeps the models that it trains, and ranks with them itself: "
    "the app has none of their numbers."
)
_NOT_WITH_MINILM = "A folder cannot search with MiniLM yet: use POST /v1/embeddings, or WordLlama."


@dataclass(frozen=True, slots=True)
class ChosenModel:
    """The trained model that search uses."""

    is_wanted: bool  # search is to use Deep Memory; `settings.enabled` also requires a model
    active: TrainingRun | None  # the run whose model search uses while Deep Memory is on
    was_replaced: bool  # DeepLake Cloud now holds another model than the chosen one

    @property
    def in_use(self) -> TrainingRun | None:
        """The run whose model search uses now."""
        return self.active if self.is_wanted else None


@dataclass(frozen=True, slots=True)
class ModelState(ChosenModel):
    """The chosen model, with the settings and what blocks a new run."""

    settings: DeepMemorySettings
    blocking: TrainingRun | None


class Models:
    """The trained models of one person."""

    def __init__(self, person: Person) -> None:
        self._is_cloud = person.studio.settings.is_cloud
        self._embedder_name = person.studio.embedder_name
        self._identity = person.identity
        self._database = person.database
        self._store = person.store
        self._models = person.models
        self._backend = person.backend
        self._runs = person.runs

    def chosen(self) -> ChosenModel:
        """Read in one statement what search uses. Unlike `state`, it does not count chunks, for
        which a knowledge base in DeepLake Cloud is read whole."""
        return self._chosen(self._rows())

    def state(self) -> ModelState:
        """Read the state in one statement, because screens and clients poll it."""
        rows = self._rows()
        chosen = self._chosen(rows)
        active, blocking = chosen.active, self._run(rows["blocking"])
        row = rows["settings"] or {}
        trained_at = row.get("last_trained_at")
        settings = DeepMemorySettings(
            enabled=chosen.in_use is not None,
            last_trained_at=datetime.fromisoformat(trained_at) if trained_at else None,
            last_training_run_id=row.get("last_training_run_id"),
            can_enable=active is not None,
            total_chunks=self._store.count(),
            trained_chunk_count=active.metrics.get("trained_chunks", 0) if active else 0,
            has_blocking_run=blocking is not None,
            blocking_run_id=blocking.id if blocking else None,
            blocking_run_status=blocking.status.value if blocking else None,
            is_cloud=self._is_cloud,
            model_was_replaced=chosen.was_replaced,
        )
        return ModelState(
            chosen.is_wanted, active, chosen.was_replaced, settings=settings, blocking=blocking
        )

    def _rows(self) -> dict[str, Any]:
        rows: dict[str, Any] = self._database.rpc("deep_memory_state")
        return rows

    def _chosen(self, rows: dict[str, Any]) -> ChosenModel:
        row, active = rows["settings"] or {}, self._run(rows["active"])
        was_replaced = bool(row.get("active_run_id")) and active is None
        return ChosenModel(bool(row.get("enabled")), active, was_replaced)

    def _run(self, row: dict[str, Any] | None) -> TrainingRun | None:
        return self._runs.known(run_from_row(row)) if row else None

    def problem(self, chosen: ChosenModel) -> str:
        """Why search cannot use the chosen model; empty if it can, or if none was chosen."""
        if chosen.active is not None:
            return self.unusable([chosen.active]).get(chosen.active.id, "")
        return REPLACED_IN_CLOUD if chosen.was_replaced else ""

    def set_enabled(self, enabled: bool) -> DeepMemorySettings:
        """Make search use Deep Memory, or not.

        Raises:
            NotAllowed: no trained model is chosen, or it is no longer there.
        """
        if enabled and self.chosen().active is None:
            raise NotAllowed(
                "Deep Memory cannot be switched on before a trained model is chosen.",
                next_step="Train one, or use the model of a completed run.",
            )
        row = {
            "user_id": self._identity.user_id,
            "updated_at": datetime.now(UTC).isoformat(),
            "enabled": enabled,
        }
        self._database.execute(
            lambda c: c.table("deep_memory_settings").upsert(row, on_conflict="user_id")
        )
        return self.state().settings

    def use(self, run_id: str) -> TrainingRun:
        """Make search use the model of a completed run, and switch Deep Memory on.

        Raises:
            NotFound: there is no such run.
            NotAllowed: the run is not completed, or search cannot use its model.
        """
        run = self._runs.get(run_id)
        if run.status is not RunStatus.COMPLETED:
            raise NotAllowed("Only a completed run has a model to use.")
        self.require_usable(run)
        rows = self._database.rpc("use_model", p_run=run_id)
        if not rows:
            raise NotAllowed(REPLACED_IN_CLOUD)
        return run_from_row(rows[0])

    def unusable(self, runs: Sequence[TrainingRun]) -> dict[str, str]:
        """Run id -> why search cannot use its model now, for those of completed `runs`."""
        return self._backend.why_unusable(runs)

    def require_usable(self, run: TrainingRun) -> None:
        """Raises NotAllowed if search cannot use the model of a completed run."""
        if reason := self.unusable([run]).get(run.id):
            raise NotAllowed(reason, next_step="Use another model, or train again.")

    def why_not_exported(self, run: TrainingRun) -> str:
        """Why the model of a run cannot leave the app; empty if it can."""
        if run.status is not RunStatus.COMPLETED:
            return "Only a completed run has a model."
        if run.metrics.get("trainer") == "cloud":
            return _KEPT_BY_SERVICE
        if run.metrics.get("embedder") == MiniLMEmbedder.name:
            return _NOT_WITH_MINILM
        return self.unusable([run]).get(run.id, "")

    def query_map(self, run: TrainingRun) -> QueryMap:
        """The map that the run trained.

        Raises:
            NotAllowed: it cannot leave the app; see `why_not_exported`.
            TrainingError: its file has just been damaged.
        """
        if reason := self.why_not_exported(run):
            raise NotAllowed(reason, next_step="Use another model, or train again on this machine.")
        return self._models.load(run).query_map

    def export(self, run: TrainingRun) -> BinaryIO:
        """The model of a completed run and the chunks as they are now, as the zip of a folder that
        searches itself: an open file without a name, to be read from its start, then closed.

        Raises:
            NotAllowed: it cannot leave the app; see `why_not_exported`.
            StoreUnavailable: the knowledge base cannot be read, or there is no room for the file.
        """
        query_map, snapshot = self.query_map(run), self._store.snapshot()
        try:
            return model_file(run, self._embedder_name, query_map, snapshot)
        except OSError as error:
            raise StoreUnavailable(
                "The file of the model cannot be written.", next_step="Make room on the disk."
            ) from error

    def no_longer_kept(self, runs: Sequence[TrainingRun]) -> set[str]:
        """The ids of those `runs` whose model was deleted because there are newer ones."""
        return {run.id for run in runs if self._models.was_given_up(run)}

    def rank_changes(self, run: TrainingRun) -> dict[str, dict[str, Any]]:
        """Name of the set -> all "wins" and "losses"; empty if only the row has some."""
        return self._models.rank_changes(run)

    @property
    def rank_words(self) -> bool:
        """Whether a trained model ranks by words too. DeepLake Cloud's does not."""
        return self._backend.ranks_words
