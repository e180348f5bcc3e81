"""Where `python -m benchmarks.mutations` puts faults, and which test files are to notice them."""

from __future__ import annotations

# Module -> the test files that are to notice.
MODULES: dict[str, list[str]] = {
    "services/deep_memory/evaluation.py": ["unit/test_evaluation"],
    "services/deep_memory/verdicts.py": ["unit/test_verdicts"],
    "services/deep_memory/measured_sets.py": ["unit/test_measured_sets"],
    "services/deep_memory/taught.py": ["unit/test_taught"],
    "services/deep_memory/no_answer.py": ["unit/test_no_answer"],
    "services/deep_memory/split.py": ["unit/test_split", "unit/test_evaluation"],
    "services/deep_memory/measurement.py": ["unit/test_measurement"],
    "services/deep_memory/local_training.py": ["unit/test_local_training"],
    "services/deep_memory/local_trainer.py": ["unit/test_local_trainer"],
    "services/deep_memory/ranker_training.py": ["unit/test_ranker_training"],
    "services/ranking/occurrences.py": ["unit/test_ranking"],
    "services/ranking/signals.py": ["unit/test_ranking"],
    "services/ranking/context.py": ["unit/test_local_trainer", "unit/test_ranking"],
    "services/ranking/near_words.py": ["unit/test_ranking"],
    "services/deep_memory/query_map.py": ["unit/test_local_trainer"],
    "services/deep_memory/cloud_training.py": ["contract/test_cloud_training"],
    "services/deep_memory/cloud_jobs.py": [
        "unit/test_cloud_jobs",
        "contract/test_cloud_jobs",
        "contract/test_activeloop_trainer",
    ],
    "services/generation/spending.py": ["unit/test_spending"],
    "services/generation/pricing.py": ["unit/test_pricing", "unit/test_spending"],
    "services/pairs/quality.py": ["unit/test_pair_quality", "unit/test_pair_checking"],
    "services/generation/answer_forms.py": [
        "unit/test_answer_forms",
        "contract/test_openai_writer",
    ],
    "services/generation/offline_writer.py": ["unit/test_offline_writer"],
    "services/generation/adverbial_questions.py": ["unit/test_offline_writer"],
    "services/generation/clause_questions.py": ["unit/test_offline_writer"],
    "services/generation/question_forms.py": ["unit/test_offline_writer"],
    "services/generation/pair_generator.py": ["unit/test_pair_generator"],
    "services/pairs/store.py": ["contract/test_pair_store"],
    "services/retrieval/chunking.py": ["unit/test_chunking"],
    "services/retrieval/nearest.py": ["unit/test_nearest"],
    "services/knowledge/knowledge_base.py": ["contract/test_knowledge_base"],
    "services/runs/lease.py": ["contract/test_run_functions", "contract/test_run_lease"],
    "services/runs/store.py": [
        "contract/test_run_moves",
        "contract/test_run_history",
        "contract/test_run_waiting",
    ],
    "services/runs/worker.py": ["contract/test_run_worker"],
}

# The functions of the migrations -> the test files that are to notice.
_FUNCTIONS, _MOVES = "contract/test_run_functions", "contract/test_run_moves"
_PAIRS, _REVIEW = "contract/test_pair_store", "contract/test_retry_problems"
SQL: dict[str, tuple[list[str], list[str]]] = {
    "SQL: what a person asks for": (
        ["start_run", "start_training", "proceed_run", "stop_run", "remove_run",
         "remove_completed_run", "may_remove_run"],
        [_MOVES, _FUNCTIONS, "contract/test_run_lease", "contract/test_remove_completed",
         "test_migrations"],
    ),
    "SQL: review": (
        ["add_pairs", "retry_problem_chunks", "review_pairs", "note_review", "note_checks",
         "review_counts", "unchecked_pairs", "count_reviewed_pairs"],
        [_REVIEW, _PAIRS, "contract/test_pair_review", _FUNCTIONS],
    ),
    "SQL: what people ask": (
        ["judge_hit", "marks_of", "say_nothing_answers", "say_unanswerable", "decide_purpose",
         "person_found_an_answer", "dismiss_question", "missed_questions", "save_log",
         "keep_search", "delete_old_searches", "application_votes", "keep_measurement",
         "take_back_judgement"],
        ["contract/test_feedback", "contract/test_missed", "contract/test_kept_searches",
         "contract/test_measured_runs"],
    ),
    "SQL: what a worker holds": (
        ["claim_run", "heartbeat_run", "beat_run", "hold_run", "begin_generation",
         "finish_generation", "why_no_questions", "note_waiting", "note_training",
         "finish_training", "fail_run", "leave_run", "rescue_runs", "lease_end"],
        [_FUNCTIONS, "contract/test_run_lease", _MOVES, "contract/test_run_waiting",
         "contract/test_runs_without_questions"],
    ),
    "SQL: jobs in DeepLake Cloud": (
        ["record_cloud_submission", "record_training_job", "job_of_text", "submission_of_text",
         "settle_cloud_submission", "settle_cloud_job", "account_for_cloud_jobs",
         "say_job_goes_on", "model_in_cloud"],
        ["contract/test_cloud_jobs", _FUNCTIONS, "contract/test_use_model", "test_migrations"],
    ),
    "SQL: pairs and batches": (
        ["save_pairs", "intend_batch", "record_batch", "note_batch", "save_waited_pairs",
         "forget_batch", "waiting_batches", "waiting_progress", "question_key", "count_pairs"],
        [_FUNCTIONS, "contract/test_run_lease", _PAIRS],
    ),
    "SQL: imports": (
        ["start_import", "begin_import", "stop_import", "go_on_with_import", "give_up_import",
         "acknowledge_import", "import_state", "claim_import", "hold_import", "heartbeat_import",
         "settle_import_files", "pairs_by_chunk", "finish_import", "interrupt_import",
         "rescue_imports"],
        ["contract/test_imports", "contract/test_replacing"],
    ),
    "SQL: guards and reading": (
        ["run_moves", "check_run_move", "check_run_removal", "check_worker_columns",
         "check_waiting", "run_phase", "log_run_event", "run_problems", "deep_memory_state",
         "use_model", "applied_migrations"],
        [_MOVES, _FUNCTIONS, "contract/test_use_model", "contract/test_remove_completed",
         "contract/test_run_waiting", "contract/test_local_supabase_migrations",
         "test_migrations"],
    ),
}  # fmt: skip

# Mutants that change nothing that anybody could notice: (module or function, what was there, what
# is there instead) -> why.
_BLOCK = "how many rows are looked at together changes nothing that is found"
_NO_WORDS = "between a verb and its object that follows are no words"
_POLICY = "row-level security shows a person no other rows, and nobody else begins a run"
EQUIVALENT: dict[tuple[str, str, str], str] = {
    ("services/deep_memory/evaluation.py", "max(1, passages)", "max(2, passages)"): _BLOCK,
    ("services/pairs/quality.py", "max(1, len(chunk_vectors))", "max(2, len(chunk_vectors))"): (
        _BLOCK
    ),
    ("services/deep_memory/evaluation.py", "RANKING_DEPTH + 1", "RANKING_DEPTH + 2"): (
        "any rank beyond the tenth counts as none"
    ),
    ("services/deep_memory/cloud_training.py", "noted_at = 0.0", "noted_at = 1.0"): (
        "the clock of a machine is past both"
    ),
    ("services/deep_memory/local_training.py", "noted_at = 0.0", "noted_at = 1.0"): (
        "the clock of a machine is past both"
    ),
    (
        "services/deep_memory/local_trainer.py",
        "range(0, len(rows), 512)",
        "range(0, len(rows), 511)",
    ): _BLOCK,
    ("services/generation/adverbial_questions.py", "position > 1", "position >= 1"): _NO_WORDS,
    ("services/generation/adverbial_questions.py", "position > 1", "position > 0"): _NO_WORDS,
    ("services/retrieval/nearest.py", "k < len(scores)", "k <= len(scores)"): (
        "as many hits as rows are all rows either way"
    ),
    ("check_run_move", "where user_id = new.user_id", "where true"): _POLICY,
    ("start_run", "where user_id = auth.uid()", "where true"): _POLICY,
}
