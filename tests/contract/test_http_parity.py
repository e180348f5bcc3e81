"""Everything that a person can do or see on a screen has a route, or a reason why it has none.

Screens reach the services through the areas of a workspace alone (tests/test_architecture.py holds
them to it), so the public methods of the areas are what can be done, beside the pages that do it.
"""

from __future__ import annotations

import ast
import inspect
import re

import pytest

from services.http import embeddings
from services.http.api import NOUNS, create_api
from services.http.embeddings import create_embeddings_api
from services.workspace import Workspace
from tests.sources import modules

RUNS, RUN = "/deep-memory/runs", "/deep-memory/runs/{run_id}"
MODELS, SETS = "/deep-memory/models", "/deep-memory/test-sets"
FEEDBACK, QUESTIONS, KEPT = "/search/feedback", "/questions", "/account/kept-searches"

# What the pages do, and the routes that do the same, by area and public name.
ROUTES: dict[str, tuple[str, ...]] = {
    # account.py
    "account.email": ("GET /account",),
    "account.set_up": ("GET /account",),
    "account.check_connection": ("POST /account/test-connection",),
    # knowledge_base.py
    "documents.all": ("POST /documents",),
    "documents.find": ("GET /documents",),
    "documents.get": ("GET /documents/{document_id}",),
    "documents.chunks_of": ("GET /documents/{document_id}/chunks",),
    "documents.remove": ("DELETE /documents/{document_id}", "POST /documents/remove"),
    # ui/import_panel.py
    "documents.start_import": ("POST /documents",),
    "documents.get_import": ("GET /imports/{import_id}", "POST /documents"),
    "documents.imported_files": ("GET /imports/{import_id}/files", "POST /documents"),
    "documents.stop_import": ("POST /imports/{import_id}/stop",),
    "documents.go_on_with_import": ("POST /imports/{import_id}/go-on",),
    "documents.give_up_import": ("POST /imports/{import_id}/give-up",),
    "documents.load_sample": ("POST /knowledge-base/sample",),
    "documents.current_import": ("GET /imports/current",),
    "documents.acknowledge_import": ("POST /imports/{import_id}/acknowledge", "POST /documents"),
    "documents.begin_anew": ("POST /documents/begin-anew",),
    "documents.chunk_count": ("GET /knowledge-base",),
    "documents.belong_on_cloud": ("GET /knowledge-base",),
    "documents.version": ("GET /knowledge-base",),
    "documents.chunk": ("GET /knowledge-base/chunks/{chunk_id}",),
    "pairs.about": ("GET /knowledge-base/chunks/{chunk_id}/pairs",),
    # deep_memory.py: ui/workflow_card.py, ui/progress.py, ui/run_history.py, ui/run_details.py
    "runs.are_available": ("GET /account",),
    "runs.estimate": ("GET /deep-memory/estimate",),
    "runs.offer_batch_mode": ("GET /deep-memory/estimate",),
    "runs.generate": ("POST /deep-memory/generate",),
    "runs.train": ("POST /deep-memory/train",),
    "runs.proceed": ("POST /deep-memory/proceed",),
    "runs.stop": (f"POST {RUN}/stop",),
    "runs.remove": (f"DELETE {RUN}",),
    "runs.remove_completed": (f"POST {RUN}/remove",),
    "runs.page": (f"GET {RUNS}", f"GET {MODELS}"),
    "runs.get": (f"GET {RUN}", "GET /events/stream/{job_id}"),
    "runs.events": (f"GET {RUN}/events",),
    "runs.spent": (f"GET {RUN}/usage",),
    "runs.waiting_at_openai": (f"GET {RUN}/batches",),
    # ui/problem_chunks.py
    "runs.problems": (f"GET {RUN}/problems",),
    "runs.chunks_with_problem": (f"GET {RUN}/problems",),
    "runs.retry_problems": (f"POST {RUN}/retry-problems",),
    # ui/pair_review.py, ui/pair_quality.py, ui/pair_exchange.py
    "pairs.page": (f"GET {RUN}/pairs",),
    "pairs.count": (f"GET {RUN}/pairs",),
    "pairs.put": (f"PATCH {RUN}/pairs/{{pair_id}}",),
    "pairs.drop": (f"DELETE {RUN}/pairs/{{pair_id}}", f"POST {RUN}/drop-pairs"),
    "pairs.check_cost": (f"GET {RUN}/pair-check",),
    "pairs.check": (f"POST {RUN}/pair-check",),
    "pairs.add_file": (f"POST {RUN}/pair-file",),
    "pairs.export": (f"GET {RUN}/pair-file",),
    # ui/settings_card.py, ui/models.py, ui/results.py, ui/run_history.py
    "models.state": ("GET /deep-memory/settings", f"GET {MODELS}"),
    "models.set_enabled": ("PUT /deep-memory/settings",),
    "models.use": (f"POST {MODELS}/{{run_id}}/use",),
    "models.problem": (f"GET {MODELS}",),
    "models.unusable": (f"GET {MODELS}",),
    "models.no_longer_kept": (f"GET {MODELS}",),
    "models.rank_words": (f"GET {MODELS}",),
    "models.rank_changes": (f"GET {MODELS}/{{run_id}}/rank-changes",),
    "models.export": (f"GET {RUN}/model",),
    "reports.as_json": (f"GET {RUN}/report",),
    "reports.as_page": (f"GET {RUN}/report",),
    # ui/test_sets.py
    "test_sets.all": (f"GET {SETS}",),
    "test_sets.is_own": (f"GET {SETS}",),
    "test_sets.add_file": (f"POST {SETS}",),
    "test_sets.remove": (f"DELETE {SETS}",),
    "test_sets.measure": (f"POST {MODELS}/{{run_id}}/measure",),
    # judge.py, ui/judging.py, ui/model_judgements.py
    "judging.rank": (f"GET {MODELS}/{{run_id}}/unjudged",),
    "judging.to_judge": (f"GET {MODELS}/{{run_id}}/unjudged",),
    "judging.judge": ("POST /deep-memory/judgements",),
    "judging.take_back": ("DELETE /deep-memory/judgements",),
    "judging.said_by_model": (f"GET {SETS}/model-judgements",),
    "judging.let_model_count": (f"PUT {SETS}/model-judgements",),
    "judging.to_ask": (f"POST {MODELS}/{{run_id}}/model-judgements",),
    "judging.ask": (f"POST {MODELS}/{{run_id}}/model-judgements",),
    # search.py, ui/both_lists.py
    "search.compare": ("POST /search/compare",),
    "search.as_chosen": ("POST /search", "POST /search/compare"),
    "kept_searches.keep": ("POST /search",),
    # ui/marks.py
    "feedback.of": (f"GET {FEEDBACK}",),
    "feedback.judge": (f"POST {FEEDBACK}",),
    "feedback.say_nothing_answers": (f"POST {FEEDBACK}",),
    # missed.py: ui/missed_list.py, ui/vote_queue.py, ui/new_questions.py, ui/consent_card.py
    "feedback.questions": (f"GET {QUESTIONS}",),
    "feedback.add": (f"POST {QUESTIONS}",),
    "feedback.decide": (f"POST {QUESTIONS}/decide",),
    "feedback.say_unanswerable": (f"POST {QUESTIONS}/decide",),
    "feedback.dismiss": (f"POST {QUESTIONS}/decide",),
    "feedback.votes": (f"GET {QUESTIONS}/votes",),
    "feedback.review": (f"POST {QUESTIONS}/votes/review",),
    "missed.groups": (f"GET {QUESTIONS}/missed",),
    "missed.disagreements": (f"GET {QUESTIONS}/disagreements",),
    "missed.log": (f"GET {QUESTIONS}/log",),
    "missed.add_log": (f"POST {QUESTIONS}/log",),
    "missed.rank_log_again": (f"POST {QUESTIONS}/log/search-again",),
    "missed.remove_log": (f"DELETE {QUESTIONS}/log",),
    "kept_searches.consent": (f"GET {KEPT}",),
    "kept_searches.set_consent": (f"PUT {KEPT}",),
    "kept_searches.forget": (f"DELETE {KEPT}",),
    # for other programs alone, at /v1/embeddings
    "vectors.width": ("POST /embeddings",),
    "vectors.of_questions": ("POST /embeddings",),
    "vectors.of_chunks": ("POST /embeddings",),
    "vectors.of_document": ("POST /embeddings",),
}
WITHOUT_ROUTE = {
    "documents.add": "POST /documents starts an import and waits for it itself",
    "documents.wait_for_import": "POST /documents waits itself; a caller asks for /imports/{id}",
    "documents.chunks": "GET /knowledge-base/chunks/{chunk_id} gives one; all are megabytes",
    "pairs.edit": "PATCH .../pairs/{pair_id}, which does not ask what the caller saw",
    "pairs.decide": "PATCH .../pairs/{pair_id}, which does not ask what the caller saw",
    "pairs.undo": "PATCH .../pairs/{pair_id} sets what the caller remembers",
    "pairs.some": "GET .../pairs gives pages; a screen draws the same pairs again",
    "pairs.all": "GET .../pairs, page by page",
    "pairs.counts": "GET .../pairs gives the total of each `review`",
    "pairs.check_in_background": "POST .../pair-check answers when it is done",
    "runs.offer_asking_again": "follows from the question writer, which GET /account names",
    "judging.model": "GET /account names the question model",
    "judging.cost_usd": "a caller says how many chunks at most; the screen says what its go costs",
    "test_sets.questions": "what judging and measuring ask; a caller brought them",
    "models.require_usable": "what the other areas ask before they use a model",
    "models.query_map": "what an export and vectors of questions are made with",
    "models.why_not_exported": "GET /deep-memory/runs/{run_id}/model answers with it",
    "models.chosen": "what search asks; the settings and the models say it to a caller",
    "user": "whose token it is; GET /account names them, and Supabase signs in and out",
}


@pytest.fixture(scope="module")
def areas(new_studio) -> dict[str, object]:
    """The areas that a real workspace has, by name."""
    studio = new_studio()
    user = studio.accounts.sign_up("parity@example.com", "correct horse battery")
    areas = vars(Workspace(studio, user))
    return {name: area for name, area in areas.items() if name not in WITHOUT_ROUTE}


def test_every_public_method_of_an_area_has_a_route_or_a_reason(areas):
    methods = {
        f"{name}.{method}"
        for name, area in areas.items()
        for method in dir(type(area))
        if not method.startswith("_")
    }
    reasons = WITHOUT_ROUTE.keys() - {"user"}
    assert methods - ROUTES.keys() - reasons == set(), "give these a route, or say why not"
    assert (ROUTES.keys() | reasons) - methods == set(), "these are gone"
    assert ROUTES.keys() & reasons == set()


def test_every_route_named_here_is_served_and_calls_the_method():
    sources = {
        f"{method} {route.path}": inspect.getsource(module)
        for module in (*NOUNS, embeddings)
        for route in module.router.routes
        for method in route.methods
    }
    for method, routes in ROUTES.items():
        for route in routes:
            # `workspace_of(token).runs.get`: a stream asks for its workspace anew each time.
            called = re.search(rf"\b(space|\))\.{re.escape(method)}\b", sources[route])
            assert called, f"{route} does not call {method}"


def test_every_route_is_named_here():
    """So that the list stays whole: a route does what a method does, or is for the process."""
    of_areas = {route for routes in ROUTES.values() for route in routes}
    served = {
        f"{method.upper()} {path}"
        for api in (create_api(), create_embeddings_api())
        for path, operations in api.openapi()["paths"].items()
        for method in operations
    }
    assert served - of_areas == {"GET /healthz", "GET /readyz"}


def test_screens_get_at_nothing_but_areas():
    """Only whoever signs in, and out, asks the studio itself."""
    asking = {
        path.name
        for path in modules("pages")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and "studio" in ast.unparse(node.func).split(".")[-1]
    }
    assert asking == {"context.py", "sign_in.py"}
