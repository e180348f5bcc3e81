-- The whole schema, as all migrations leave it. To be read: databases are made by the migrations.
-- Written by `python -m tests.schema`, never by hand.


-- Tables ------------------------------------------------------------------------------------------


-- app_sessions

CREATE TABLE public.app_sessions (
    id_hash text NOT NULL,
    user_id uuid NOT NULL,
    access_token text NOT NULL,
    refresh_token text NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL
);

ALTER TABLE ONLY public.app_sessions
    ADD CONSTRAINT app_sessions_pkey PRIMARY KEY (id_hash);

CREATE INDEX idx_app_sessions_user ON public.app_sessions USING btree (user_id);

ALTER TABLE ONLY public.app_sessions
    ADD CONSTRAINT app_sessions_user_id_fkey FOREIGN KEY (user_id) REFERENCES auth.users(id) ON DELETE CASCADE;

ALTER TABLE public.app_sessions ENABLE ROW LEVEL SECURITY;

GRANT ALL ON TABLE public.app_sessions TO service_role;


-- deep_memory_cloud_jobs

CREATE TABLE public.deep_memory_cloud_jobs (
    user_id uuid NOT NULL,
    job text NOT NULL,
    training_run_id uuid NOT NULL,
    completed boolean DEFAULT false NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    job_id text,
    submission jsonb NOT NULL
);

ALTER TABLE ONLY public.deep_memory_cloud_jobs
    ADD CONSTRAINT deep_memory_cloud_jobs_pkey PRIMARY KEY (id);

CREATE UNIQUE INDEX each_submission_once ON public.deep_memory_cloud_jobs USING btree (user_id, COALESCE(job_id, ''::text), submission);

ALTER TABLE ONLY public.deep_memory_cloud_jobs
    ADD CONSTRAINT deep_memory_cloud_jobs_user_id_fkey FOREIGN KEY (user_id) REFERENCES auth.users(id) ON DELETE CASCADE;

CREATE POLICY "Users can see their own jobs" ON public.deep_memory_cloud_jobs FOR SELECT TO authenticated USING ((user_id = ( SELECT auth.uid() AS uid)));

ALTER TABLE public.deep_memory_cloud_jobs ENABLE ROW LEVEL SECURITY;

GRANT ALL ON TABLE public.deep_memory_cloud_jobs TO anon;
GRANT ALL ON TABLE public.deep_memory_cloud_jobs TO authenticated;
GRANT ALL ON TABLE public.deep_memory_cloud_jobs TO service_role;


-- deep_memory_generation_batches

CREATE TABLE public.deep_memory_generation_batches (
    id uuid NOT NULL,
    training_run_id uuid NOT NULL,
    openai_id text,
    answered integer DEFAULT 0 NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL
);

ALTER TABLE ONLY public.deep_memory_generation_batches
    ADD CONSTRAINT deep_memory_generation_batches_pkey PRIMARY KEY (id);

CREATE INDEX idx_generation_batches_run ON public.deep_memory_generation_batches USING btree (training_run_id);

ALTER TABLE ONLY public.deep_memory_generation_batches
    ADD CONSTRAINT deep_memory_generation_batches_training_run_id_fkey FOREIGN KEY (training_run_id) REFERENCES public.deep_memory_training_runs(id) ON DELETE CASCADE;

CREATE POLICY "Users can see batches via run ownership" ON public.deep_memory_generation_batches FOR SELECT TO authenticated USING ((training_run_id IN ( SELECT deep_memory_training_runs.id
   FROM public.deep_memory_training_runs
  WHERE (deep_memory_training_runs.user_id = ( SELECT auth.uid() AS uid)))));

ALTER TABLE public.deep_memory_generation_batches ENABLE ROW LEVEL SECURITY;

GRANT ALL ON TABLE public.deep_memory_generation_batches TO anon;
GRANT ALL ON TABLE public.deep_memory_generation_batches TO authenticated;
GRANT ALL ON TABLE public.deep_memory_generation_batches TO service_role;


-- deep_memory_judgements

CREATE TABLE public.deep_memory_judgements (
    user_id uuid DEFAULT auth.uid() NOT NULL,
    question text NOT NULL,
    question_key text GENERATED ALWAYS AS (public.question_key(question)) STORED NOT NULL,
    chunk_id text NOT NULL,
    judge text DEFAULT 'person'::text NOT NULL,
    answers boolean NOT NULL,
    reason text DEFAULT ''::text NOT NULL,
    judged_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT deep_memory_judgements_chunk_id_check CHECK ((length(chunk_id) <= 200)),
    CONSTRAINT deep_memory_judgements_judge_check CHECK ((judge = ANY (ARRAY['person'::text, 'application'::text, 'model'::text]))),
    CONSTRAINT deep_memory_judgements_question_check CHECK (((btrim(question) <> ''::text) AND (length(question) <= 2000))),
    CONSTRAINT deep_memory_judgements_reason_check CHECK ((length(reason) <= 2000))
);

ALTER TABLE ONLY public.deep_memory_judgements
    ADD CONSTRAINT deep_memory_judgements_pkey PRIMARY KEY (user_id, question_key, chunk_id, judge);

ALTER TABLE ONLY public.deep_memory_judgements
    ADD CONSTRAINT deep_memory_judgements_user_id_fkey FOREIGN KEY (user_id) REFERENCES auth.users(id) ON DELETE CASCADE;

CREATE POLICY "Users can manage their own judgements" ON public.deep_memory_judgements TO authenticated USING ((( SELECT auth.uid() AS uid) = user_id)) WITH CHECK ((( SELECT auth.uid() AS uid) = user_id));

ALTER TABLE public.deep_memory_judgements ENABLE ROW LEVEL SECURITY;

GRANT ALL ON TABLE public.deep_memory_judgements TO anon;
GRANT ALL ON TABLE public.deep_memory_judgements TO authenticated;
GRANT ALL ON TABLE public.deep_memory_judgements TO service_role;


-- deep_memory_model_counts

CREATE TABLE public.deep_memory_model_counts (
    user_id uuid DEFAULT auth.uid() NOT NULL,
    test_set text NOT NULL,
    since timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT deep_memory_model_counts_test_set_check CHECK (((btrim(test_set) <> ''::text) AND (length(test_set) <= 500)))
);

ALTER TABLE ONLY public.deep_memory_model_counts
    ADD CONSTRAINT deep_memory_model_counts_pkey PRIMARY KEY (user_id, test_set);

ALTER TABLE ONLY public.deep_memory_model_counts
    ADD CONSTRAINT deep_memory_model_counts_user_id_fkey FOREIGN KEY (user_id) REFERENCES auth.users(id) ON DELETE CASCADE;

CREATE POLICY "Users can manage their own counted model judgements" ON public.deep_memory_model_counts TO authenticated USING ((( SELECT auth.uid() AS uid) = user_id)) WITH CHECK ((( SELECT auth.uid() AS uid) = user_id));

ALTER TABLE public.deep_memory_model_counts ENABLE ROW LEVEL SECURITY;

GRANT ALL ON TABLE public.deep_memory_model_counts TO anon;
GRANT ALL ON TABLE public.deep_memory_model_counts TO authenticated;
GRANT ALL ON TABLE public.deep_memory_model_counts TO service_role;


-- deep_memory_questions

CREATE TABLE public.deep_memory_questions (
    user_id uuid DEFAULT auth.uid() NOT NULL,
    question text NOT NULL,
    question_key text GENERATED ALWAYS AS (public.question_key(question)) STORED NOT NULL,
    purpose text DEFAULT 'open'::text NOT NULL,
    origin text NOT NULL,
    is_unanswerable boolean DEFAULT false NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    found_nothing_by text,
    first_hit text,
    dismissed_at timestamp with time zone,
    CONSTRAINT deep_memory_questions_first_hit_check CHECK ((length(first_hit) <= 200)),
    CONSTRAINT deep_memory_questions_found_nothing_by_check CHECK ((found_nothing_by = ANY (ARRAY['person'::text, 'application'::text]))),
    CONSTRAINT deep_memory_questions_origin_check CHECK ((origin = ANY (ARRAY['search'::text, 'application'::text, 'log'::text, 'form'::text]))),
    CONSTRAINT deep_memory_questions_purpose_check CHECK ((purpose = ANY (ARRAY['open'::text, 'test'::text, 'training'::text]))),
    CONSTRAINT deep_memory_questions_question_check CHECK (((btrim(question) <> ''::text) AND (length(question) <= 2000)))
);

ALTER TABLE ONLY public.deep_memory_questions
    ADD CONSTRAINT deep_memory_questions_pkey PRIMARY KEY (user_id, question_key);

ALTER TABLE ONLY public.deep_memory_questions
    ADD CONSTRAINT deep_memory_questions_user_id_fkey FOREIGN KEY (user_id) REFERENCES auth.users(id) ON DELETE CASCADE;

CREATE POLICY "Users can manage their own questions" ON public.deep_memory_questions TO authenticated USING ((( SELECT auth.uid() AS uid) = user_id)) WITH CHECK ((( SELECT auth.uid() AS uid) = user_id));

ALTER TABLE public.deep_memory_questions ENABLE ROW LEVEL SECURITY;

GRANT ALL ON TABLE public.deep_memory_questions TO anon;
GRANT ALL ON TABLE public.deep_memory_questions TO authenticated;
GRANT ALL ON TABLE public.deep_memory_questions TO service_role;


-- deep_memory_run_chunks

CREATE TABLE public.deep_memory_run_chunks (
    training_run_id uuid NOT NULL,
    chunk_id text NOT NULL,
    problem text
);

ALTER TABLE ONLY public.deep_memory_run_chunks
    ADD CONSTRAINT deep_memory_run_chunks_pkey PRIMARY KEY (training_run_id, chunk_id);

ALTER TABLE ONLY public.deep_memory_run_chunks
    ADD CONSTRAINT deep_memory_run_chunks_training_run_id_fkey FOREIGN KEY (training_run_id) REFERENCES public.deep_memory_training_runs(id) ON DELETE CASCADE;

CREATE POLICY "Users can manage chunks via run ownership" ON public.deep_memory_run_chunks TO authenticated USING ((training_run_id IN ( SELECT deep_memory_training_runs.id
   FROM public.deep_memory_training_runs
  WHERE (deep_memory_training_runs.user_id = ( SELECT auth.uid() AS uid))))) WITH CHECK ((training_run_id IN ( SELECT deep_memory_training_runs.id
   FROM public.deep_memory_training_runs
  WHERE (deep_memory_training_runs.user_id = ( SELECT auth.uid() AS uid)))));

ALTER TABLE public.deep_memory_run_chunks ENABLE ROW LEVEL SECURITY;

GRANT ALL ON TABLE public.deep_memory_run_chunks TO anon;
GRANT ALL ON TABLE public.deep_memory_run_chunks TO authenticated;
GRANT ALL ON TABLE public.deep_memory_run_chunks TO service_role;


-- deep_memory_run_events

CREATE TABLE public.deep_memory_run_events (
    id bigint NOT NULL,
    training_run_id uuid NOT NULL,
    at timestamp with time zone DEFAULT now() NOT NULL,
    phase text NOT NULL,
    kind text NOT NULL,
    message text NOT NULL,
    counts jsonb DEFAULT '{}'::jsonb NOT NULL,
    CONSTRAINT deep_memory_run_events_phase_check CHECK ((phase = ANY (ARRAY['generation'::text, 'review'::text, 'training'::text])))
);

ALTER TABLE public.deep_memory_run_events ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.deep_memory_run_events_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

ALTER TABLE ONLY public.deep_memory_run_events
    ADD CONSTRAINT deep_memory_run_events_pkey PRIMARY KEY (id);

CREATE INDEX idx_run_events_run ON public.deep_memory_run_events USING btree (training_run_id, id);

ALTER TABLE ONLY public.deep_memory_run_events
    ADD CONSTRAINT deep_memory_run_events_training_run_id_fkey FOREIGN KEY (training_run_id) REFERENCES public.deep_memory_training_runs(id) ON DELETE CASCADE;

CREATE POLICY "Users can manage events via run ownership" ON public.deep_memory_run_events TO authenticated USING ((training_run_id IN ( SELECT deep_memory_training_runs.id
   FROM public.deep_memory_training_runs
  WHERE (deep_memory_training_runs.user_id = ( SELECT auth.uid() AS uid))))) WITH CHECK ((training_run_id IN ( SELECT deep_memory_training_runs.id
   FROM public.deep_memory_training_runs
  WHERE (deep_memory_training_runs.user_id = ( SELECT auth.uid() AS uid)))));

ALTER TABLE public.deep_memory_run_events ENABLE ROW LEVEL SECURITY;

GRANT ALL ON TABLE public.deep_memory_run_events TO anon;
GRANT ALL ON TABLE public.deep_memory_run_events TO authenticated;
GRANT ALL ON TABLE public.deep_memory_run_events TO service_role;


-- deep_memory_run_events_id_seq

GRANT ALL ON SEQUENCE public.deep_memory_run_events_id_seq TO anon;
GRANT ALL ON SEQUENCE public.deep_memory_run_events_id_seq TO authenticated;
GRANT ALL ON SEQUENCE public.deep_memory_run_events_id_seq TO service_role;


-- deep_memory_searches

CREATE TABLE public.deep_memory_searches (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    user_id uuid DEFAULT auth.uid() NOT NULL,
    question text NOT NULL,
    question_key text GENERATED ALWAYS AS (public.question_key(question)) STORED NOT NULL,
    source text NOT NULL,
    shown jsonb DEFAULT '[]'::jsonb NOT NULL,
    training_run_id uuid,
    asked_at timestamp with time zone DEFAULT now() NOT NULL,
    times integer DEFAULT 1 NOT NULL,
    expected jsonb DEFAULT '[]'::jsonb NOT NULL,
    is_missed boolean DEFAULT false NOT NULL,
    disagreement real,
    CONSTRAINT deep_memory_searches_disagreement_check CHECK (((disagreement >= (0)::double precision) AND (disagreement <= (1)::double precision))),
    CONSTRAINT deep_memory_searches_question_check CHECK (((btrim(question) <> ''::text) AND (length(question) <= 2000))),
    CONSTRAINT deep_memory_searches_source_check CHECK ((source = ANY (ARRAY['page'::text, 'application'::text, 'log'::text]))),
    CONSTRAINT deep_memory_searches_times_check CHECK (((times >= 1) AND (times <= 1000000)))
);

ALTER TABLE ONLY public.deep_memory_searches
    ADD CONSTRAINT deep_memory_searches_pkey PRIMARY KEY (id);

CREATE INDEX idx_searches_newest ON public.deep_memory_searches USING btree (user_id, asked_at DESC, id);

CREATE INDEX idx_searches_run ON public.deep_memory_searches USING btree (training_run_id);

CREATE UNIQUE INDEX one_logged_question ON public.deep_memory_searches USING btree (user_id, question_key) WHERE (source = 'log'::text);

ALTER TABLE ONLY public.deep_memory_searches
    ADD CONSTRAINT deep_memory_searches_training_run_id_fkey FOREIGN KEY (training_run_id) REFERENCES public.deep_memory_training_runs(id) ON DELETE SET NULL;

ALTER TABLE ONLY public.deep_memory_searches
    ADD CONSTRAINT deep_memory_searches_user_id_fkey FOREIGN KEY (user_id) REFERENCES auth.users(id) ON DELETE CASCADE;

CREATE POLICY "Searches are kept with consent" ON public.deep_memory_searches AS RESTRICTIVE FOR INSERT TO authenticated WITH CHECK (((source = 'log'::text) OR (EXISTS ( SELECT
   FROM public.deep_memory_settings s
  WHERE ((s.user_id = ( SELECT auth.uid() AS uid)) AND s.keeps_searches)))));

CREATE POLICY "Users can manage their own searches" ON public.deep_memory_searches TO authenticated USING ((( SELECT auth.uid() AS uid) = user_id)) WITH CHECK ((( SELECT auth.uid() AS uid) = user_id));

ALTER TABLE public.deep_memory_searches ENABLE ROW LEVEL SECURITY;

GRANT ALL ON TABLE public.deep_memory_searches TO anon;
GRANT ALL ON TABLE public.deep_memory_searches TO authenticated;
GRANT ALL ON TABLE public.deep_memory_searches TO service_role;


-- deep_memory_settings

CREATE TABLE public.deep_memory_settings (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    user_id uuid NOT NULL,
    enabled boolean DEFAULT false NOT NULL,
    last_trained_at timestamp with time zone,
    last_training_run_id uuid,
    updated_at timestamp with time zone DEFAULT now(),
    active_run_id uuid,
    keeps_searches boolean DEFAULT false NOT NULL,
    searches_kept_days integer DEFAULT 90 NOT NULL,
    CONSTRAINT deep_memory_settings_searches_kept_days_check CHECK (((searches_kept_days >= 1) AND (searches_kept_days <= 3650)))
);

ALTER TABLE ONLY public.deep_memory_settings
    ADD CONSTRAINT deep_memory_settings_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.deep_memory_settings
    ADD CONSTRAINT deep_memory_settings_user_id_key UNIQUE (user_id);

ALTER TABLE ONLY public.deep_memory_settings
    ADD CONSTRAINT deep_memory_settings_active_run_id_fkey FOREIGN KEY (active_run_id) REFERENCES public.deep_memory_training_runs(id) ON DELETE SET NULL;

ALTER TABLE ONLY public.deep_memory_settings
    ADD CONSTRAINT deep_memory_settings_last_training_run_id_fkey FOREIGN KEY (last_training_run_id) REFERENCES public.deep_memory_training_runs(id) ON DELETE SET NULL;

ALTER TABLE ONLY public.deep_memory_settings
    ADD CONSTRAINT deep_memory_settings_user_id_fkey FOREIGN KEY (user_id) REFERENCES auth.users(id) ON DELETE CASCADE;

CREATE POLICY "Settings point at the user's own runs" ON public.deep_memory_settings AS RESTRICTIVE TO authenticated USING (true) WITH CHECK ((((last_training_run_id IS NULL) OR (last_training_run_id IN ( SELECT deep_memory_training_runs.id
   FROM public.deep_memory_training_runs
  WHERE (deep_memory_training_runs.user_id = ( SELECT auth.uid() AS uid))))) AND ((active_run_id IS NULL) OR (active_run_id IN ( SELECT deep_memory_training_runs.id
   FROM public.deep_memory_training_runs
  WHERE ((deep_memory_training_runs.user_id = ( SELECT auth.uid() AS uid)) AND (deep_memory_training_runs.status = 'completed'::text)))))));

CREATE POLICY "Users can manage their own settings" ON public.deep_memory_settings TO authenticated USING ((( SELECT auth.uid() AS uid) = user_id)) WITH CHECK ((( SELECT auth.uid() AS uid) = user_id));

ALTER TABLE public.deep_memory_settings ENABLE ROW LEVEL SECURITY;

GRANT ALL ON TABLE public.deep_memory_settings TO anon;
GRANT ALL ON TABLE public.deep_memory_settings TO authenticated;
GRANT ALL ON TABLE public.deep_memory_settings TO service_role;


-- deep_memory_test_sets

CREATE TABLE public.deep_memory_test_sets (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    user_id uuid DEFAULT auth.uid() NOT NULL,
    name text NOT NULL,
    questions jsonb NOT NULL,
    question_count integer GENERATED ALWAYS AS (jsonb_array_length(questions)) STORED,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT deep_memory_test_sets_name_check CHECK ((name <> ''::text))
);

ALTER TABLE ONLY public.deep_memory_test_sets
    ADD CONSTRAINT deep_memory_test_sets_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.deep_memory_test_sets
    ADD CONSTRAINT deep_memory_test_sets_user_id_name_key UNIQUE (user_id, name);

ALTER TABLE ONLY public.deep_memory_test_sets
    ADD CONSTRAINT deep_memory_test_sets_user_id_fkey FOREIGN KEY (user_id) REFERENCES auth.users(id) ON DELETE CASCADE;

CREATE POLICY "Users can manage their own test sets" ON public.deep_memory_test_sets TO authenticated USING ((( SELECT auth.uid() AS uid) = user_id)) WITH CHECK ((( SELECT auth.uid() AS uid) = user_id));

ALTER TABLE public.deep_memory_test_sets ENABLE ROW LEVEL SECURITY;

GRANT ALL ON TABLE public.deep_memory_test_sets TO anon;
GRANT ALL ON TABLE public.deep_memory_test_sets TO authenticated;
GRANT ALL ON TABLE public.deep_memory_test_sets TO service_role;


-- deep_memory_training_pairs

CREATE TABLE public.deep_memory_training_pairs (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    training_run_id uuid NOT NULL,
    question_text text NOT NULL,
    chunk_id text NOT NULL,
    chunk_preview text,
    relevance_score double precision DEFAULT 1.0 NOT NULL,
    created_at timestamp with time zone DEFAULT now(),
    review text DEFAULT 'to_review'::text NOT NULL,
    original_question text,
    reviewed_at timestamp with time zone,
    doubt double precision,
    flags text[] DEFAULT '{}'::text[] NOT NULL,
    checked_against text,
    is_imported boolean DEFAULT false NOT NULL,
    CONSTRAINT deep_memory_training_pairs_review_check CHECK ((review = ANY (ARRAY['to_review'::text, 'kept'::text, 'dropped'::text])))
);

ALTER TABLE ONLY public.deep_memory_training_pairs
    ADD CONSTRAINT deep_memory_training_pairs_pkey PRIMARY KEY (id);

CREATE INDEX idx_training_pairs_chunk ON public.deep_memory_training_pairs USING btree (chunk_id);

CREATE INDEX idx_training_pairs_run_chunk ON public.deep_memory_training_pairs USING btree (training_run_id, chunk_id);

CREATE INDEX idx_training_pairs_run_id ON public.deep_memory_training_pairs USING btree (training_run_id);

CREATE UNIQUE INDEX one_question_of_a_chunk ON public.deep_memory_training_pairs USING btree (training_run_id, public.question_key(question_text), chunk_id);

CREATE TRIGGER count_added_pairs AFTER INSERT ON public.deep_memory_training_pairs REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION public.count_pairs();

CREATE TRIGGER count_dropped_pairs AFTER DELETE ON public.deep_memory_training_pairs REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION public.count_pairs();

CREATE TRIGGER count_reviewed_pairs AFTER UPDATE ON public.deep_memory_training_pairs REFERENCING OLD TABLE AS before NEW TABLE AS after FOR EACH STATEMENT EXECUTE FUNCTION public.count_reviewed_pairs();

CREATE TRIGGER note_review BEFORE UPDATE ON public.deep_memory_training_pairs FOR EACH ROW EXECUTE FUNCTION public.note_review();

ALTER TABLE ONLY public.deep_memory_training_pairs
    ADD CONSTRAINT deep_memory_training_pairs_training_run_id_fkey FOREIGN KEY (training_run_id) REFERENCES public.deep_memory_training_runs(id) ON DELETE CASCADE;

CREATE POLICY "Pairs are added while their run is in review" ON public.deep_memory_training_pairs AS RESTRICTIVE FOR INSERT TO authenticated WITH CHECK ((training_run_id IN ( SELECT deep_memory_training_runs.id
   FROM public.deep_memory_training_runs
  WHERE (deep_memory_training_runs.status = 'generated'::text))));

CREATE POLICY "Pairs are dropped while their run is in review" ON public.deep_memory_training_pairs AS RESTRICTIVE FOR DELETE TO authenticated USING ((training_run_id IN ( SELECT deep_memory_training_runs.id
   FROM public.deep_memory_training_runs
  WHERE (deep_memory_training_runs.status = 'generated'::text))));

CREATE POLICY "Pairs are edited while their run is in review" ON public.deep_memory_training_pairs AS RESTRICTIVE FOR UPDATE TO authenticated USING ((training_run_id IN ( SELECT deep_memory_training_runs.id
   FROM public.deep_memory_training_runs
  WHERE (deep_memory_training_runs.status = 'generated'::text))));

CREATE POLICY "Users can manage training pairs via run ownership" ON public.deep_memory_training_pairs TO authenticated USING ((training_run_id IN ( SELECT deep_memory_training_runs.id
   FROM public.deep_memory_training_runs
  WHERE (deep_memory_training_runs.user_id = ( SELECT auth.uid() AS uid))))) WITH CHECK ((training_run_id IN ( SELECT deep_memory_training_runs.id
   FROM public.deep_memory_training_runs
  WHERE (deep_memory_training_runs.user_id = ( SELECT auth.uid() AS uid)))));

ALTER TABLE public.deep_memory_training_pairs ENABLE ROW LEVEL SECURITY;

GRANT ALL ON TABLE public.deep_memory_training_pairs TO anon;
GRANT ALL ON TABLE public.deep_memory_training_pairs TO authenticated;
GRANT ALL ON TABLE public.deep_memory_training_pairs TO service_role;


-- deep_memory_training_runs

CREATE TABLE public.deep_memory_training_runs (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    user_id uuid NOT NULL,
    status text DEFAULT 'generating'::text NOT NULL,
    total_chunks integer DEFAULT 0 NOT NULL,
    processed_chunks integer DEFAULT 0 NOT NULL,
    pair_count integer DEFAULT 0 NOT NULL,
    deeplake_job_id text,
    metrics jsonb DEFAULT '{}'::jsonb,
    error_message text,
    started_at timestamp with time zone DEFAULT now(),
    completed_at timestamp with time zone,
    created_at timestamp with time zone DEFAULT now(),
    worker_id uuid,
    attempt integer DEFAULT 1 NOT NULL,
    lease_expires_at timestamp with time zone,
    settings jsonb DEFAULT '{}'::jsonb NOT NULL,
    usage jsonb DEFAULT '{}'::jsonb NOT NULL,
    set_aside boolean DEFAULT false NOT NULL,
    waiting jsonb,
    cloud_submission jsonb,
    CONSTRAINT deep_memory_training_runs_status_check CHECK ((status = ANY (ARRAY['generating'::text, 'generated'::text, 'training'::text, 'completed'::text, 'generating_failed'::text, 'training_failed'::text])))
);

ALTER TABLE ONLY public.deep_memory_training_runs
    ADD CONSTRAINT deep_memory_training_runs_pkey PRIMARY KEY (id);

CREATE INDEX idx_training_runs_model_in_cloud ON public.deep_memory_training_runs USING btree (user_id, completed_at DESC) WHERE ((status = 'completed'::text) AND ((metrics ->> 'trainer'::text) = 'cloud'::text));

CREATE INDEX idx_training_runs_user_newest ON public.deep_memory_training_runs USING btree (user_id, created_at DESC, id);

CREATE INDEX idx_training_runs_user_status ON public.deep_memory_training_runs USING btree (user_id, status);

CREATE UNIQUE INDEX one_unfinished_run_per_user ON public.deep_memory_training_runs USING btree (user_id) WHERE ((status <> 'completed'::text) AND (NOT set_aside));

CREATE TRIGGER account_for_cloud_jobs AFTER UPDATE OF status ON public.deep_memory_training_runs FOR EACH ROW WHEN (((new.status = 'completed'::text) AND (old.status <> new.status) AND ((new.metrics ->> 'trainer'::text) = 'cloud'::text))) EXECUTE FUNCTION public.account_for_cloud_jobs();

CREATE TRIGGER check_run_move BEFORE INSERT OR UPDATE ON public.deep_memory_training_runs FOR EACH ROW EXECUTE FUNCTION public.check_run_move();

CREATE TRIGGER check_run_removal BEFORE DELETE ON public.deep_memory_training_runs FOR EACH ROW EXECUTE FUNCTION public.check_run_removal();

CREATE TRIGGER check_waiting BEFORE INSERT OR UPDATE ON public.deep_memory_training_runs FOR EACH ROW EXECUTE FUNCTION public.check_waiting();

CREATE TRIGGER check_worker_columns BEFORE INSERT OR UPDATE ON public.deep_memory_training_runs FOR EACH ROW EXECUTE FUNCTION public.check_worker_columns();

ALTER TABLE ONLY public.deep_memory_training_runs
    ADD CONSTRAINT deep_memory_training_runs_user_id_fkey FOREIGN KEY (user_id) REFERENCES auth.users(id) ON DELETE CASCADE;

CREATE POLICY "Users can manage their own training runs" ON public.deep_memory_training_runs TO authenticated USING ((( SELECT auth.uid() AS uid) = user_id)) WITH CHECK ((( SELECT auth.uid() AS uid) = user_id));

ALTER TABLE public.deep_memory_training_runs ENABLE ROW LEVEL SECURITY;

GRANT ALL ON TABLE public.deep_memory_training_runs TO anon;
GRANT ALL ON TABLE public.deep_memory_training_runs TO authenticated;
GRANT ALL ON TABLE public.deep_memory_training_runs TO service_role;


-- deep_memory_waiting_chunks

CREATE TABLE public.deep_memory_waiting_chunks (
    training_run_id uuid NOT NULL,
    chunk_id text NOT NULL,
    batch_id uuid NOT NULL
);

ALTER TABLE ONLY public.deep_memory_waiting_chunks
    ADD CONSTRAINT deep_memory_waiting_chunks_pkey PRIMARY KEY (training_run_id, chunk_id);

CREATE INDEX idx_waiting_chunks_batch ON public.deep_memory_waiting_chunks USING btree (batch_id);

ALTER TABLE ONLY public.deep_memory_waiting_chunks
    ADD CONSTRAINT deep_memory_waiting_chunks_batch_id_fkey FOREIGN KEY (batch_id) REFERENCES public.deep_memory_generation_batches(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.deep_memory_waiting_chunks
    ADD CONSTRAINT deep_memory_waiting_chunks_training_run_id_fkey FOREIGN KEY (training_run_id) REFERENCES public.deep_memory_training_runs(id) ON DELETE CASCADE;

CREATE POLICY "Users can see waiting chunks via run ownership" ON public.deep_memory_waiting_chunks FOR SELECT TO authenticated USING ((training_run_id IN ( SELECT deep_memory_training_runs.id
   FROM public.deep_memory_training_runs
  WHERE (deep_memory_training_runs.user_id = ( SELECT auth.uid() AS uid)))));

ALTER TABLE public.deep_memory_waiting_chunks ENABLE ROW LEVEL SECURITY;

GRANT ALL ON TABLE public.deep_memory_waiting_chunks TO anon;
GRANT ALL ON TABLE public.deep_memory_waiting_chunks TO authenticated;
GRANT ALL ON TABLE public.deep_memory_waiting_chunks TO service_role;


-- deep_memory_watch

CREATE TABLE public.deep_memory_watch (
    is_the_row boolean DEFAULT true NOT NULL,
    swept_at timestamp with time zone DEFAULT '-infinity'::timestamp with time zone CONSTRAINT deep_memory_watch_looked_at_not_null NOT NULL,
    grace_until timestamp with time zone DEFAULT '-infinity'::timestamp with time zone CONSTRAINT deep_memory_watch_patient_until_not_null NOT NULL,
    CONSTRAINT deep_memory_watch_is_the_row_check CHECK (is_the_row)
);

ALTER TABLE ONLY public.deep_memory_watch
    ADD CONSTRAINT deep_memory_watch_pkey PRIMARY KEY (is_the_row);

ALTER TABLE public.deep_memory_watch ENABLE ROW LEVEL SECURITY;

GRANT ALL ON TABLE public.deep_memory_watch TO service_role;


-- document_import_files

CREATE TABLE public.document_import_files (
    import_id uuid NOT NULL,
    "position" integer NOT NULL,
    member integer DEFAULT 0 NOT NULL,
    name text NOT NULL,
    bytes bigint DEFAULT 0 NOT NULL,
    state text DEFAULT 'waiting'::text NOT NULL,
    document_id text,
    chunk_count integer DEFAULT 0 NOT NULL,
    notes jsonb DEFAULT '[]'::jsonb NOT NULL,
    message text,
    next_step text,
    CONSTRAINT document_import_files_state_check CHECK ((state = ANY (ARRAY['waiting'::text, 'added'::text, 'replaced'::text, 'same'::text, 'refused'::text, 'dropped'::text])))
);

ALTER TABLE ONLY public.document_import_files
    ADD CONSTRAINT document_import_files_pkey PRIMARY KEY (import_id, "position", member);

ALTER TABLE ONLY public.document_import_files
    ADD CONSTRAINT document_import_files_import_id_fkey FOREIGN KEY (import_id) REFERENCES public.document_imports(id) ON DELETE CASCADE;

CREATE POLICY "Users can see the files of their own imports" ON public.document_import_files FOR SELECT TO authenticated USING ((EXISTS ( SELECT 1
   FROM public.document_imports i
  WHERE ((i.id = document_import_files.import_id) AND (i.user_id = ( SELECT auth.uid() AS uid))))));

ALTER TABLE public.document_import_files ENABLE ROW LEVEL SECURITY;

GRANT ALL ON TABLE public.document_import_files TO service_role;
GRANT SELECT ON TABLE public.document_import_files TO authenticated;


-- document_imports

CREATE TABLE public.document_imports (
    id uuid NOT NULL,
    user_id uuid NOT NULL,
    status text NOT NULL,
    attempt integer DEFAULT 1 NOT NULL,
    worker_id uuid,
    lease_expires_at timestamp with time zone,
    progress jsonb DEFAULT '{}'::jsonb NOT NULL,
    message text,
    acknowledged boolean DEFAULT false NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    finished_at timestamp with time zone,
    replace boolean DEFAULT false NOT NULL,
    CONSTRAINT document_imports_status_check CHECK ((status = ANY (ARRAY['adding'::text, 'stopped'::text, 'interrupted'::text, 'done'::text])))
);

ALTER TABLE ONLY public.document_imports
    ADD CONSTRAINT document_imports_pkey PRIMARY KEY (id);

CREATE INDEX idx_document_imports_user ON public.document_imports USING btree (user_id, created_at DESC);

CREATE UNIQUE INDEX one_unfinished_import_per_user ON public.document_imports USING btree (user_id) WHERE (status <> 'done'::text);

ALTER TABLE ONLY public.document_imports
    ADD CONSTRAINT document_imports_user_id_fkey FOREIGN KEY (user_id) REFERENCES auth.users(id) ON DELETE CASCADE;

CREATE POLICY "Users can see their own imports" ON public.document_imports FOR SELECT TO authenticated USING ((( SELECT auth.uid() AS uid) = user_id));

ALTER TABLE public.document_imports ENABLE ROW LEVEL SECURITY;

GRANT ALL ON TABLE public.document_imports TO service_role;
GRANT SELECT ON TABLE public.document_imports TO authenticated;


-- Functions ---------------------------------------------------------------------------------------


-- account_for_cloud_jobs: 022_jobs_that_outlive_their_run.sql

CREATE FUNCTION public.account_for_cloud_jobs() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO ''
    AS $$
begin
  delete from public.deep_memory_cloud_jobs where user_id = new.user_id;
  return null;
end $$;

REVOKE ALL ON FUNCTION public.account_for_cloud_jobs() FROM PUBLIC;
GRANT ALL ON FUNCTION public.account_for_cloud_jobs() TO service_role;


-- acknowledge_import: 029_document_imports.sql

CREATE FUNCTION public.acknowledge_import(p_import uuid, p_and_older boolean) RETURNS SETOF public.document_imports
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO ''
    AS $$
  update public.document_imports i set acknowledged = true
    from public.document_imports the
   where the.id = p_import and the.user_id = auth.uid() and the.status = 'done'
     and i.user_id = the.user_id and i.status = 'done'
     and (i.id = the.id or p_and_older and i.created_at <= the.created_at)
  returning i.*
$$;

REVOKE ALL ON FUNCTION public.acknowledge_import(p_import uuid, p_and_older boolean) FROM PUBLIC;
GRANT ALL ON FUNCTION public.acknowledge_import(p_import uuid, p_and_older boolean) TO service_role;
GRANT ALL ON FUNCTION public.acknowledge_import(p_import uuid, p_and_older boolean) TO authenticated;


-- add_pairs: 032_review_pairs.sql

CREATE FUNCTION public.add_pairs(p_run uuid, p_pairs jsonb) RETURNS integer
    LANGUAGE plpgsql
    SET search_path TO ''
    AS $$
declare
  added int;
begin
  insert into public.deep_memory_training_pairs as p
    (training_run_id, chunk_id, chunk_preview, question_text, relevance_score, is_imported)
  select distinct on (public.question_key(n.question_text), n.chunk_id)
         p_run, n.chunk_id, n.chunk_preview, n.question_text, n.relevance_score, true
    from rows from (jsonb_to_recordset(p_pairs)
           as (chunk_id text, chunk_preview text, question_text text, relevance_score float))
         with ordinality as n (chunk_id, chunk_preview, question_text, relevance_score, place)
   order by public.question_key(n.question_text), n.chunk_id, n.place
  on conflict (training_run_id, public.question_key(question_text), chunk_id)
  do update set review = 'to_review' where p.review = 'dropped';
  get diagnostics added = row_count;
  return added;
end $$;

REVOKE ALL ON FUNCTION public.add_pairs(p_run uuid, p_pairs jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION public.add_pairs(p_run uuid, p_pairs jsonb) TO authenticated;
GRANT ALL ON FUNCTION public.add_pairs(p_run uuid, p_pairs jsonb) TO service_role;


-- application_votes: 033_learn_from_searches.sql

CREATE FUNCTION public.application_votes(p_limit integer) RETURNS TABLE(question text, chunk_id text, answers boolean, said_at timestamp with time zone)
    LANGUAGE sql STABLE
    SET search_path TO ''
    AS $$
  select j.question, j.chunk_id, j.answers, j.judged_at
    from public.deep_memory_judgements j
   where j.user_id = (select auth.uid()) and j.judge = 'application' and not exists (
     select from public.deep_memory_judgements own
      where own.user_id = j.user_id and own.question_key = j.question_key
        and own.chunk_id = j.chunk_id and own.judge = 'person')
  union all
  select q.question, null, false, q.created_at from public.deep_memory_questions q
   where q.user_id = (select auth.uid()) and q.found_nothing_by = 'application'
  order by 4, 1, 2
  limit p_limit
$$;

REVOKE ALL ON FUNCTION public.application_votes(p_limit integer) FROM PUBLIC;
GRANT ALL ON FUNCTION public.application_votes(p_limit integer) TO authenticated;
GRANT ALL ON FUNCTION public.application_votes(p_limit integer) TO service_role;


-- applied_migrations: 025_applied_migrations.sql

CREATE FUNCTION public.applied_migrations() RETURNS SETOF text
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO ''
    AS $$
begin
  if to_regclass('supabase_migrations.schema_migrations') is not null then
    return query select version from supabase_migrations.schema_migrations;
  end if;
end $$;

REVOKE ALL ON FUNCTION public.applied_migrations() FROM PUBLIC;
GRANT ALL ON FUNCTION public.applied_migrations() TO service_role;


-- beat_run: 026_heartbeat.sql

CREATE FUNCTION public.beat_run(p_run uuid, p_user uuid, p_worker uuid, p_attempt integer) RETURNS boolean
    LANGUAGE sql
    SET search_path TO ''
    AS $$
  select public.heartbeat_run(p_run, p_user, p_worker, p_attempt)
$$;

REVOKE ALL ON FUNCTION public.beat_run(p_run uuid, p_user uuid, p_worker uuid, p_attempt integer) FROM PUBLIC;
GRANT ALL ON FUNCTION public.beat_run(p_run uuid, p_user uuid, p_worker uuid, p_attempt integer) TO service_role;


-- begin_generation: 009_run_recovery.sql

CREATE FUNCTION public.begin_generation(p_run uuid, p_user uuid, p_worker uuid, p_attempt integer, p_chunk_ids text[]) RETURNS boolean
    LANGUAGE plpgsql
    SET search_path TO ''
    AS $$
declare
  before int := (select total_chunks from public.deep_memory_training_runs where id = p_run);
  gone int;
begin
  if not public.hold_run(p_run, p_user, p_worker, p_attempt, 'generating') then
    return false;
  end if;
  delete from public.deep_memory_training_pairs p
   where p.training_run_id = p_run
     and not exists (select 1 from unnest(p_chunk_ids) as present (id) where id = p.chunk_id);
  get diagnostics gone = row_count;
  delete from public.deep_memory_run_chunks c
   where c.training_run_id = p_run
     and not exists (select 1 from unnest(p_chunk_ids) as present (id) where id = c.chunk_id);
  update public.deep_memory_training_runs
     set total_chunks = cardinality(p_chunk_ids),
         processed_chunks = (select count(*) from public.deep_memory_run_chunks
                              where training_run_id = p_run)
   where id = p_run;
  if gone > 0 or before <> cardinality(p_chunk_ids) then
    perform public.log_run_event(p_run, 'generation', 'documents_changed',
      format('The knowledge base changed: %s chunks before, %s now. %s pairs were dropped because'
             ' their documents are gone.', before, cardinality(p_chunk_ids), gone),
      jsonb_build_object('chunks_before', before, 'chunks', cardinality(p_chunk_ids),
                         'pairs_dropped', gone));
  end if;
  return true;
end $$;

REVOKE ALL ON FUNCTION public.begin_generation(p_run uuid, p_user uuid, p_worker uuid, p_attempt integer, p_chunk_ids text[]) FROM PUBLIC;
GRANT ALL ON FUNCTION public.begin_generation(p_run uuid, p_user uuid, p_worker uuid, p_attempt integer, p_chunk_ids text[]) TO service_role;


-- begin_import: 030_replace_documents.sql

CREATE FUNCTION public.begin_import(p_import uuid, p_files jsonb, p_replace boolean) RETURNS SETOF public.document_imports
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
declare
  started public.document_imports;
begin
  delete from public.document_imports
   where user_id = auth.uid() and status = 'done' and finished_at < now() - interval '7 days';
  insert into public.document_imports (id, user_id, status, lease_expires_at, replace)
  values (p_import, auth.uid(), 'adding', public.lease_end(), p_replace)
  on conflict (user_id) where status <> 'done' do nothing
  returning * into started;
  if started.id is null then
    return;
  end if;
  insert into public.document_import_files (import_id, position, name, bytes)
  select p_import, f.place - 1, f.file ->> 'name', (f.file ->> 'bytes')::bigint
    from jsonb_array_elements(p_files) with ordinality as f (file, place);
  return next started;
end $$;

REVOKE ALL ON FUNCTION public.begin_import(p_import uuid, p_files jsonb, p_replace boolean) FROM PUBLIC;
GRANT ALL ON FUNCTION public.begin_import(p_import uuid, p_files jsonb, p_replace boolean) TO service_role;
GRANT ALL ON FUNCTION public.begin_import(p_import uuid, p_files jsonb, p_replace boolean) TO authenticated;


-- check_run_move: 009_run_recovery.sql

CREATE FUNCTION public.check_run_move() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO ''
    AS $$
declare
  is_person boolean := current_user in ('authenticated', 'anon');
begin
  if tg_op = 'INSERT' then
    if is_person and new.status <> 'generating' then
      raise exception 'A new run starts in generating, not in %', new.status
        using errcode = 'check_violation';
    end if;
    if new.set_aside or exists (
      select 1 from public.deep_memory_training_runs
       where user_id = new.user_id and status <> 'completed' and set_aside) then
      raise exception 'An unfinished run blocks a new one' using errcode = 'unique_violation';
    end if;
  elsif new.set_aside and not old.set_aside then
    raise exception 'A run can not be set aside' using errcode = 'check_violation';
  elsif new.status <> old.status and not exists (
    select 1 from public.run_moves() m
     where m.from_status = old.status and m.to_status = new.status
       and (m.by_person or not is_person)) then
    raise exception 'A run can not move from % to %', old.status, new.status
      using errcode = 'check_violation';
  end if;
  return new;
end $$;

GRANT ALL ON FUNCTION public.check_run_move() TO anon;
GRANT ALL ON FUNCTION public.check_run_move() TO authenticated;
GRANT ALL ON FUNCTION public.check_run_move() TO service_role;


-- check_run_removal: 021_remove_completed_run.sql

CREATE FUNCTION public.check_run_removal() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO ''
    AS $$
begin
  -- Depth 1 is a direct delete; deeper is the cascade of a deleted account.
  if pg_catalog.pg_trigger_depth() = 1 and not public.may_remove_run(old) then
    raise exception 'This run can not be removed: it is % or in use', old.status
      using errcode = 'check_violation';
  end if;
  return old;
end $$;

GRANT ALL ON FUNCTION public.check_run_removal() TO anon;
GRANT ALL ON FUNCTION public.check_run_removal() TO authenticated;
GRANT ALL ON FUNCTION public.check_run_removal() TO service_role;


-- check_waiting: 024_what_runs_wait_for.sql

CREATE FUNCTION public.check_waiting() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO ''
    AS $$
begin
  if (new.status, new.attempt) is distinct from (old.status, old.attempt) then
    new.waiting := null;
  elsif new.waiting is distinct from old.waiting
        and current_user in ('authenticated', 'anon') then
    raise exception 'Only a worker says what its run waits for'
      using errcode = 'insufficient_privilege';
  end if;
  return new;
end $$;

REVOKE ALL ON FUNCTION public.check_waiting() FROM PUBLIC;
GRANT ALL ON FUNCTION public.check_waiting() TO service_role;


-- check_worker_columns: 027_cloud_submission.sql

CREATE FUNCTION public.check_worker_columns() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO ''
    AS $$
begin
  if current_user in ('authenticated', 'anon') and (
       new.deeplake_job_id is not null
         and (tg_op = 'INSERT' or new.deeplake_job_id is distinct from old.deeplake_job_id)
       or new.cloud_submission is not null
         and (tg_op = 'INSERT' or new.cloud_submission is distinct from old.cloud_submission)
       or tg_op = 'UPDATE' and new.settings is distinct from old.settings) then
    raise exception 'Only a worker writes the job and the settings of a run'
      using errcode = 'insufficient_privilege';
  end if;
  return new;
end $$;

REVOKE ALL ON FUNCTION public.check_worker_columns() FROM PUBLIC;
GRANT ALL ON FUNCTION public.check_worker_columns() TO service_role;


-- claim_import: 029_document_imports.sql

CREATE FUNCTION public.claim_import(p_import uuid, p_user uuid, p_worker uuid, p_attempt integer) RETURNS SETOF public.document_imports
    LANGUAGE sql
    SET search_path TO ''
    AS $$
  update public.document_imports
     set worker_id = p_worker, lease_expires_at = public.lease_end()
   where id = p_import and user_id = p_user and attempt = p_attempt and status = 'adding'
     and (worker_id is null or worker_id = p_worker) -- its own claim, sent twice
  returning *
$$;

REVOKE ALL ON FUNCTION public.claim_import(p_import uuid, p_user uuid, p_worker uuid, p_attempt integer) FROM PUBLIC;
GRANT ALL ON FUNCTION public.claim_import(p_import uuid, p_user uuid, p_worker uuid, p_attempt integer) TO service_role;


-- claim_run: 009_run_recovery.sql

CREATE FUNCTION public.claim_run(p_run uuid, p_user uuid, p_worker uuid, p_attempt integer) RETURNS SETOF public.deep_memory_training_runs
    LANGUAGE sql
    SET search_path TO ''
    AS $$
  update public.deep_memory_training_runs
     set worker_id = p_worker, lease_expires_at = public.lease_end()
   where id = p_run and user_id = p_user and attempt = p_attempt
     and status in ('generating', 'training')
     and (worker_id is null or worker_id = p_worker) -- its own claim, sent twice
  returning *
$$;

REVOKE ALL ON FUNCTION public.claim_run(p_run uuid, p_user uuid, p_worker uuid, p_attempt integer) FROM PUBLIC;
GRANT ALL ON FUNCTION public.claim_run(p_run uuid, p_user uuid, p_worker uuid, p_attempt integer) TO service_role;


-- count_pairs: 032_review_pairs.sql

CREATE FUNCTION public.count_pairs() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
begin
  update public.deep_memory_training_runs r
     set pair_count = r.pair_count + case when tg_op = 'INSERT' then c.pairs else -c.pairs end
    from (select training_run_id, count(*)::int as pairs from changed
           where review <> 'dropped' group by 1) c
   where r.id = c.training_run_id;
  return null;
end $$;

GRANT ALL ON FUNCTION public.count_pairs() TO anon;
GRANT ALL ON FUNCTION public.count_pairs() TO authenticated;
GRANT ALL ON FUNCTION public.count_pairs() TO service_role;


-- count_reviewed_pairs: 032_review_pairs.sql

CREATE FUNCTION public.count_reviewed_pairs() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
begin
  update public.deep_memory_training_runs r set pair_count = r.pair_count + c.pairs
    from (select training_run_id, sum(pairs)::int as pairs
            from (select training_run_id, 1 as pairs from after where review <> 'dropped'
                  union all
                  select training_run_id, -1 from before where review <> 'dropped') each_pair
           group by 1 having sum(pairs) <> 0) c
   where r.id = c.training_run_id;
  return null;
end $$;

REVOKE ALL ON FUNCTION public.count_reviewed_pairs() FROM PUBLIC;
GRANT ALL ON FUNCTION public.count_reviewed_pairs() TO service_role;


-- decide_purpose: 033_learn_from_searches.sql

CREATE FUNCTION public.decide_purpose(p_question text, p_purpose text, p_origin text) RETURNS boolean
    LANGUAGE sql
    SET search_path TO ''
    AS $$
  with decided as (
    insert into public.deep_memory_questions as q (question, origin, purpose)
    select p_question, p_origin, p_purpose
     where p_purpose = 'open' or public.person_found_an_answer(p_question)
        or (p_purpose = 'test' and exists (
              select from public.deep_memory_questions
               where user_id = (select auth.uid()) and is_unanswerable
                 and question_key = public.question_key(p_question)))
    on conflict (user_id, question_key) do update set purpose = excluded.purpose
    returning 1)
  select exists (select from decided)
$$;

REVOKE ALL ON FUNCTION public.decide_purpose(p_question text, p_purpose text, p_origin text) FROM PUBLIC;
GRANT ALL ON FUNCTION public.decide_purpose(p_question text, p_purpose text, p_origin text) TO authenticated;
GRANT ALL ON FUNCTION public.decide_purpose(p_question text, p_purpose text, p_origin text) TO service_role;


-- deep_memory_state: 017_use_model.sql

CREATE FUNCTION public.deep_memory_state() RETURNS jsonb
    LANGUAGE sql STABLE
    SET search_path TO ''
    AS $$
  select jsonb_build_object(
    'settings', (
      select to_jsonb(s) from public.deep_memory_settings s
       where s.user_id = (select auth.uid())),
    'active', (
      select to_jsonb(r) from public.deep_memory_settings s
        join public.deep_memory_training_runs r on r.id = s.active_run_id
       where s.user_id = (select auth.uid())
         and (r.metrics ->> 'trainer' is distinct from 'cloud' or r.id = public.model_in_cloud())),
    'blocking', (
      select to_jsonb(r) from public.deep_memory_training_runs r
       where r.user_id = (select auth.uid()) and r.status <> 'completed'
       order by r.set_aside, r.created_at desc limit 1))
$$;

REVOKE ALL ON FUNCTION public.deep_memory_state() FROM PUBLIC;
GRANT ALL ON FUNCTION public.deep_memory_state() TO authenticated;
GRANT ALL ON FUNCTION public.deep_memory_state() TO service_role;


-- delete_old_searches: 033_learn_from_searches.sql

CREATE FUNCTION public.delete_old_searches() RETURNS bigint
    LANGUAGE sql
    SET search_path TO ''
    AS $$
  with old as (
    delete from public.deep_memory_searches s using public.deep_memory_settings c
     where s.user_id = c.user_id and s.source <> 'log'
       and s.asked_at < now() - make_interval(days => c.searches_kept_days)
    returning 1)
  select count(*) from old
$$;

REVOKE ALL ON FUNCTION public.delete_old_searches() FROM PUBLIC;
GRANT ALL ON FUNCTION public.delete_old_searches() TO service_role;


-- dismiss_question: 033_learn_from_searches.sql

CREATE FUNCTION public.dismiss_question(p_question text, p_origin text) RETURNS void
    LANGUAGE sql
    SET search_path TO ''
    AS $$
  insert into public.deep_memory_questions (question, origin, dismissed_at)
  values (p_question, p_origin, now())
  on conflict (user_id, question_key) do update set dismissed_at = now()
$$;

REVOKE ALL ON FUNCTION public.dismiss_question(p_question text, p_origin text) FROM PUBLIC;
GRANT ALL ON FUNCTION public.dismiss_question(p_question text, p_origin text) TO authenticated;
GRANT ALL ON FUNCTION public.dismiss_question(p_question text, p_origin text) TO service_role;


-- fail_run: 009_run_recovery.sql

CREATE FUNCTION public.fail_run(p_run uuid, p_user uuid, p_worker uuid, p_attempt integer, p_message text) RETURNS boolean
    LANGUAGE plpgsql
    SET search_path TO ''
    AS $$
declare
  failed public.deep_memory_training_runs;
begin
  update public.deep_memory_training_runs
     set status = status || '_failed', error_message = p_message,
         worker_id = null, lease_expires_at = null
   where id = p_run and user_id = p_user and worker_id = p_worker and attempt = p_attempt
     and status in ('generating', 'training')
  returning * into failed;
  if failed.id is null then
    return false;
  end if;
  perform public.log_run_event(p_run, public.run_phase(failed.status), 'failed', p_message,
    jsonb_build_object('processed_chunks', failed.processed_chunks, 'pairs', failed.pair_count));
  return true;
end $$;

REVOKE ALL ON FUNCTION public.fail_run(p_run uuid, p_user uuid, p_worker uuid, p_attempt integer, p_message text) FROM PUBLIC;
GRANT ALL ON FUNCTION public.fail_run(p_run uuid, p_user uuid, p_worker uuid, p_attempt integer, p_message text) TO service_role;


-- finish_generation: 023_fail_without_questions.sql

CREATE FUNCTION public.finish_generation(p_run uuid, p_user uuid, p_worker uuid, p_attempt integer) RETURNS boolean
    LANGUAGE plpgsql
    SET search_path TO ''
    AS $$
declare
  finished public.deep_memory_training_runs;
begin
  update public.deep_memory_training_runs
     set status = case when pair_count > 0 then 'generated' else 'generating_failed' end,
         error_message = case when pair_count = 0
                              then public.why_no_questions(id, total_chunks) end,
         worker_id = null, lease_expires_at = null
   where id = p_run and user_id = p_user and worker_id = p_worker and attempt = p_attempt
     and status = 'generating'
  returning * into finished;
  if finished.id is null then
    return false;
  end if;
  perform public.log_run_event(p_run, 'generation',
    case when finished.pair_count > 0 then 'finished' else 'failed' end,
    coalesce(finished.error_message, 'Generation finished'),
    jsonb_build_object('processed_chunks', finished.processed_chunks, 'pairs', finished.pair_count));
  return true;
end $$;

REVOKE ALL ON FUNCTION public.finish_generation(p_run uuid, p_user uuid, p_worker uuid, p_attempt integer) FROM PUBLIC;
GRANT ALL ON FUNCTION public.finish_generation(p_run uuid, p_user uuid, p_worker uuid, p_attempt integer) TO service_role;


-- finish_import: 029_document_imports.sql

CREATE FUNCTION public.finish_import(p_import uuid, p_user uuid, p_worker uuid, p_attempt integer) RETURNS boolean
    LANGUAGE sql
    SET search_path TO ''
    AS $$
  with done as (
    update public.document_imports
       set status = 'done', finished_at = now(), lease_expires_at = null
     where id = p_import and user_id = p_user and worker_id = p_worker and attempt = p_attempt
       and status = 'adding'
    returning 1)
  select exists (select from done)
$$;

REVOKE ALL ON FUNCTION public.finish_import(p_import uuid, p_user uuid, p_worker uuid, p_attempt integer) FROM PUBLIC;
GRANT ALL ON FUNCTION public.finish_import(p_import uuid, p_user uuid, p_worker uuid, p_attempt integer) TO service_role;


-- finish_training: 009_run_recovery.sql

CREATE FUNCTION public.finish_training(p_run uuid, p_user uuid, p_worker uuid, p_attempt integer, p_metrics jsonb, p_activate boolean) RETURNS boolean
    LANGUAGE plpgsql
    SET search_path TO ''
    AS $$
begin
  if not public.hold_run(p_run, p_user, p_worker, p_attempt, 'training') then
    return false;
  end if;
  update public.deep_memory_training_runs
     set status = 'completed', completed_at = now(), metrics = p_metrics,
         worker_id = null, lease_expires_at = null
   where id = p_run;
  insert into public.deep_memory_settings as s
    (user_id, last_trained_at, last_training_run_id, active_run_id)
  values (p_user, now(), p_run, case when p_activate then p_run end)
  on conflict (user_id) do update
    set last_trained_at = excluded.last_trained_at,
        last_training_run_id = excluded.last_training_run_id,
        active_run_id = coalesce(excluded.active_run_id, s.active_run_id),
        updated_at = now();
  perform public.log_run_event(p_run, 'training', 'finished', 'Training finished');
  return true;
end $$;

REVOKE ALL ON FUNCTION public.finish_training(p_run uuid, p_user uuid, p_worker uuid, p_attempt integer, p_metrics jsonb, p_activate boolean) FROM PUBLIC;
GRANT ALL ON FUNCTION public.finish_training(p_run uuid, p_user uuid, p_worker uuid, p_attempt integer, p_metrics jsonb, p_activate boolean) TO service_role;


-- forget_batch: 016_generation_batches.sql

CREATE FUNCTION public.forget_batch(p_run uuid, p_user uuid, p_worker uuid, p_attempt integer, p_batch uuid, p_how text) RETURNS boolean
    LANGUAGE plpgsql
    SET search_path TO ''
    AS $$
declare
  forgotten public.deep_memory_generation_batches;
  unanswered int := (select count(*) from public.deep_memory_waiting_chunks
                      where batch_id = p_batch);
begin
  if not public.hold_run(p_run, p_user, p_worker, p_attempt, 'generating') then
    return false;
  end if;
  delete from public.deep_memory_generation_batches
   where id = p_batch and training_run_id = p_run
  returning * into forgotten;
  if forgotten.openai_id is not null then
    perform public.log_run_event(p_run, 'generation', 'batch_ended',
      forgotten.openai_id || ' ended: ' || p_how,
      jsonb_build_object('chunks_without_answer', unanswered));
  end if;
  return true;
end $$;

REVOKE ALL ON FUNCTION public.forget_batch(p_run uuid, p_user uuid, p_worker uuid, p_attempt integer, p_batch uuid, p_how text) FROM PUBLIC;
GRANT ALL ON FUNCTION public.forget_batch(p_run uuid, p_user uuid, p_worker uuid, p_attempt integer, p_batch uuid, p_how text) TO service_role;


-- give_up_import: 029_document_imports.sql

CREATE FUNCTION public.give_up_import(p_import uuid) RETURNS SETOF public.document_imports
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
declare
  moved public.document_imports;
begin
  update public.document_imports
     set status = 'done', finished_at = now(), lease_expires_at = null
   where id = p_import and user_id = auth.uid() and status in ('stopped', 'interrupted')
  returning * into moved;
  if moved.id is not null then
    update public.document_import_files set state = 'dropped'
     where import_id = p_import and state = 'waiting';
    return next moved;
  end if;
end $$;

REVOKE ALL ON FUNCTION public.give_up_import(p_import uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION public.give_up_import(p_import uuid) TO service_role;
GRANT ALL ON FUNCTION public.give_up_import(p_import uuid) TO authenticated;


-- go_on_with_import: 029_document_imports.sql

CREATE FUNCTION public.go_on_with_import(p_import uuid) RETURNS SETOF public.document_imports
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO ''
    AS $$
  update public.document_imports
     set status = 'adding', attempt = attempt + 1, worker_id = null, message = null,
         lease_expires_at = public.lease_end()
   where id = p_import and user_id = auth.uid() and status in ('stopped', 'interrupted')
  returning *
$$;

REVOKE ALL ON FUNCTION public.go_on_with_import(p_import uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION public.go_on_with_import(p_import uuid) TO service_role;
GRANT ALL ON FUNCTION public.go_on_with_import(p_import uuid) TO authenticated;


-- heartbeat_import: 029_document_imports.sql

CREATE FUNCTION public.heartbeat_import(p_import uuid, p_user uuid, p_worker uuid, p_attempt integer, p_progress jsonb) RETURNS boolean
    LANGUAGE plpgsql
    SET search_path TO ''
    AS $$
begin
  if not public.hold_import(p_import, p_user, p_worker, p_attempt) then
    return false;
  end if;
  update public.document_imports set progress = p_progress where id = p_import;
  return true;
end $$;

REVOKE ALL ON FUNCTION public.heartbeat_import(p_import uuid, p_user uuid, p_worker uuid, p_attempt integer, p_progress jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION public.heartbeat_import(p_import uuid, p_user uuid, p_worker uuid, p_attempt integer, p_progress jsonb) TO service_role;


-- heartbeat_run: 026_heartbeat.sql

CREATE FUNCTION public.heartbeat_run(p_run uuid, p_user uuid, p_worker uuid, p_attempt integer) RETURNS boolean
    LANGUAGE sql
    SET search_path TO ''
    AS $$
  with extended as (
    update public.deep_memory_training_runs set lease_expires_at = public.lease_end()
     where id = p_run and user_id = p_user and worker_id = p_worker and attempt = p_attempt
       and status in ('generating', 'training')
    returning 1)
  select exists (select 1 from extended)
$$;

REVOKE ALL ON FUNCTION public.heartbeat_run(p_run uuid, p_user uuid, p_worker uuid, p_attempt integer) FROM PUBLIC;
GRANT ALL ON FUNCTION public.heartbeat_run(p_run uuid, p_user uuid, p_worker uuid, p_attempt integer) TO service_role;


-- hold_import: 029_document_imports.sql

CREATE FUNCTION public.hold_import(p_import uuid, p_user uuid, p_worker uuid, p_attempt integer) RETURNS boolean
    LANGUAGE sql
    SET search_path TO ''
    AS $$
  with held as (
    update public.document_imports set lease_expires_at = public.lease_end()
     where id = p_import and user_id = p_user and worker_id = p_worker and attempt = p_attempt
       and status = 'adding'
    returning 1)
  select exists (select from held)
$$;

REVOKE ALL ON FUNCTION public.hold_import(p_import uuid, p_user uuid, p_worker uuid, p_attempt integer) FROM PUBLIC;
GRANT ALL ON FUNCTION public.hold_import(p_import uuid, p_user uuid, p_worker uuid, p_attempt integer) TO service_role;


-- hold_run: 009_run_recovery.sql

CREATE FUNCTION public.hold_run(p_run uuid, p_user uuid, p_worker uuid, p_attempt integer, p_status text) RETURNS boolean
    LANGUAGE plpgsql
    SET search_path TO ''
    AS $$
begin
  perform 1 from public.deep_memory_training_runs
    where id = p_run and user_id = p_user and worker_id = p_worker and attempt = p_attempt
      and status = p_status
    for update;
  return found;
end $$;

REVOKE ALL ON FUNCTION public.hold_run(p_run uuid, p_user uuid, p_worker uuid, p_attempt integer, p_status text) FROM PUBLIC;
GRANT ALL ON FUNCTION public.hold_run(p_run uuid, p_user uuid, p_worker uuid, p_attempt integer, p_status text) TO service_role;


-- import_state: 029_document_imports.sql

CREATE FUNCTION public.import_state(p_import uuid DEFAULT NULL::uuid) RETURNS jsonb
    LANGUAGE sql STABLE
    SET search_path TO ''
    AS $$
  select to_jsonb(i) || jsonb_build_object(
           'counts', coalesce((select jsonb_object_agg(c.state, c.files) from (
              select state, count(*) as files from public.document_import_files
               where import_id = i.id group by state) c), '{}'),
           'chunk_count', coalesce((select sum(chunk_count) from public.document_import_files
                                     where import_id = i.id), 0))
    from public.document_imports i
   where case when p_import is null then not i.acknowledged else i.id = p_import end
   order by i.created_at desc, i.id
   limit 1
$$;

REVOKE ALL ON FUNCTION public.import_state(p_import uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION public.import_state(p_import uuid) TO service_role;
GRANT ALL ON FUNCTION public.import_state(p_import uuid) TO authenticated;


-- intend_batch: 016_generation_batches.sql

CREATE FUNCTION public.intend_batch(p_run uuid, p_user uuid, p_worker uuid, p_attempt integer, p_batch uuid, p_chunk_ids text[]) RETURNS boolean
    LANGUAGE plpgsql
    SET search_path TO ''
    AS $$
begin
  if not public.hold_run(p_run, p_user, p_worker, p_attempt, 'generating') then
    return false;
  end if;
  insert into public.deep_memory_generation_batches (id, training_run_id)
  values (p_batch, p_run) on conflict do nothing;
  if found then
    insert into public.deep_memory_waiting_chunks (training_run_id, chunk_id, batch_id)
    select p_run, id, p_batch from unnest(p_chunk_ids) as ids (id);
  end if;
  return true;
end $$;

REVOKE ALL ON FUNCTION public.intend_batch(p_run uuid, p_user uuid, p_worker uuid, p_attempt integer, p_batch uuid, p_chunk_ids text[]) FROM PUBLIC;
GRANT ALL ON FUNCTION public.intend_batch(p_run uuid, p_user uuid, p_worker uuid, p_attempt integer, p_batch uuid, p_chunk_ids text[]) TO service_role;


-- interrupt_import: 029_document_imports.sql

CREATE FUNCTION public.interrupt_import(p_import uuid, p_user uuid, p_worker uuid, p_attempt integer, p_message text) RETURNS boolean
    LANGUAGE sql
    SET search_path TO ''
    AS $$
  with interrupted as (
    update public.document_imports
       set status = 'interrupted', message = p_message, lease_expires_at = null
     where id = p_import and user_id = p_user and worker_id = p_worker and attempt = p_attempt
       and status = 'adding'
    returning 1)
  select exists (select from interrupted)
$$;

REVOKE ALL ON FUNCTION public.interrupt_import(p_import uuid, p_user uuid, p_worker uuid, p_attempt integer, p_message text) FROM PUBLIC;
GRANT ALL ON FUNCTION public.interrupt_import(p_import uuid, p_user uuid, p_worker uuid, p_attempt integer, p_message text) TO service_role;


-- job_of_text: 027_cloud_submission.sql

CREATE FUNCTION public.job_of_text(p_text text) RETURNS text
    LANGUAGE sql IMMUTABLE
    SET search_path TO ''
    AS $$
  select case when p_text not like 'submitting:%' then split_part(p_text, ' for questions ', 1) end
$$;

REVOKE ALL ON FUNCTION public.job_of_text(p_text text) FROM PUBLIC;
GRANT ALL ON FUNCTION public.job_of_text(p_text text) TO service_role;


-- judge_hit: 033_learn_from_searches.sql

CREATE FUNCTION public.judge_hit(p_question text, p_chunk text, p_answers boolean, p_judge text, p_first_hit text, p_origin text) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO ''
    AS $$
begin
  insert into public.deep_memory_questions as q (question, origin, first_hit)
  values (p_question, p_origin, p_first_hit)
  on conflict (user_id, question_key) do update
     set first_hit = coalesce(excluded.first_hit, q.first_hit),
         dismissed_at = case when p_judge = 'person' then null else q.dismissed_at end;
  if p_answers is null then
    delete from public.deep_memory_judgements
     where user_id = (select auth.uid()) and question_key = public.question_key(p_question)
       and chunk_id = p_chunk and judge = p_judge;
  else
    insert into public.deep_memory_judgements (question, chunk_id, judge, answers)
    values (p_question, p_chunk, p_judge, p_answers)
    on conflict (user_id, question_key, chunk_id, judge) do update
       set answers = excluded.answers, reason = '', judged_at = now();
  end if;
  if p_judge = 'person' then
    update public.deep_memory_questions
       set found_nothing_by = case when p_answers then null else found_nothing_by end,
           is_unanswerable = is_unanswerable and p_answers is not true,
           purpose = case when public.person_found_an_answer(p_question)
                            or (is_unanswerable and purpose = 'test')
                          then purpose else 'open' end
     where user_id = (select auth.uid()) and question_key = public.question_key(p_question);
  end if;
end $$;

REVOKE ALL ON FUNCTION public.judge_hit(p_question text, p_chunk text, p_answers boolean, p_judge text, p_first_hit text, p_origin text) FROM PUBLIC;
GRANT ALL ON FUNCTION public.judge_hit(p_question text, p_chunk text, p_answers boolean, p_judge text, p_first_hit text, p_origin text) TO authenticated;
GRANT ALL ON FUNCTION public.judge_hit(p_question text, p_chunk text, p_answers boolean, p_judge text, p_first_hit text, p_origin text) TO service_role;


-- keep_measurement: 035_keep_measurements.sql

CREATE FUNCTION public.keep_measurement(p_run uuid, p_figures jsonb) RETURNS SETOF public.deep_memory_training_runs
    LANGUAGE sql
    SET search_path TO ''
    AS $$
  update public.deep_memory_training_runs r
     set metrics = jsonb_set(r.metrics, '{test_sets}', (
       select coalesce(jsonb_agg(kept.figures order by kept.place), '[]')
         from jsonb_array_elements(coalesce(r.metrics -> 'test_sets', '[]'))
              with ordinality as kept (figures, place)
        where kept.figures ->> 'name' is distinct from p_figures ->> 'name')
       || jsonb_build_array(p_figures || jsonb_build_object('measured_at', now())))
   where r.id = p_run and r.user_id = (select auth.uid()) and r.status = 'completed'
  returning r.*;
$$;

REVOKE ALL ON FUNCTION public.keep_measurement(p_run uuid, p_figures jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION public.keep_measurement(p_run uuid, p_figures jsonb) TO service_role;
GRANT ALL ON FUNCTION public.keep_measurement(p_run uuid, p_figures jsonb) TO authenticated;


-- keep_search: 033_learn_from_searches.sql

CREATE FUNCTION public.keep_search(p_question text, p_source text, p_shown jsonb, p_run uuid) RETURNS boolean
    LANGUAGE sql
    SET search_path TO ''
    AS $$
  with old as (
    delete from public.deep_memory_searches s using public.deep_memory_settings c
     where c.user_id = (select auth.uid()) and s.user_id = c.user_id and s.source <> 'log'
       and s.asked_at < now() - make_interval(days => c.searches_kept_days)),
  kept as (
    insert into public.deep_memory_searches (user_id, question, source, shown, training_run_id)
    select c.user_id, p_question, p_source, p_shown, p_run from public.deep_memory_settings c
     where c.user_id = (select auth.uid()) and c.keeps_searches and p_source <> 'log'
    returning 1)
  select exists (select from kept)
$$;

REVOKE ALL ON FUNCTION public.keep_search(p_question text, p_source text, p_shown jsonb, p_run uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION public.keep_search(p_question text, p_source text, p_shown jsonb, p_run uuid) TO authenticated;
GRANT ALL ON FUNCTION public.keep_search(p_question text, p_source text, p_shown jsonb, p_run uuid) TO service_role;


-- lease_end: 009_run_recovery.sql

CREATE FUNCTION public.lease_end() RETURNS timestamp with time zone
    LANGUAGE sql STABLE
    AS $$ select now() + interval '28 seconds' $$;

GRANT ALL ON FUNCTION public.lease_end() TO anon;
GRANT ALL ON FUNCTION public.lease_end() TO authenticated;
GRANT ALL ON FUNCTION public.lease_end() TO service_role;


-- leave_run: 019_keep_late_answers.sql

CREATE FUNCTION public.leave_run(p_run uuid, p_user uuid, p_worker uuid, p_attempt integer) RETURNS boolean
    LANGUAGE sql
    SET search_path TO ''
    AS $$
  with left_alone as (
    update public.deep_memory_training_runs set worker_id = null
     where id = p_run and user_id = p_user and worker_id = p_worker and attempt = p_attempt
       and status in ('generating_failed', 'training_failed')
    returning 1)
  select exists (select 1 from left_alone)
$$;

REVOKE ALL ON FUNCTION public.leave_run(p_run uuid, p_user uuid, p_worker uuid, p_attempt integer) FROM PUBLIC;
GRANT ALL ON FUNCTION public.leave_run(p_run uuid, p_user uuid, p_worker uuid, p_attempt integer) TO service_role;


-- log_run_event: 009_run_recovery.sql

CREATE FUNCTION public.log_run_event(p_run uuid, p_phase text, p_kind text, p_message text, p_counts jsonb DEFAULT '{}'::jsonb) RETURNS void
    LANGUAGE sql
    SET search_path TO ''
    AS $$
  insert into public.deep_memory_run_events (training_run_id, phase, kind, message, counts)
  values (p_run, p_phase, p_kind, p_message, p_counts)
$$;

REVOKE ALL ON FUNCTION public.log_run_event(p_run uuid, p_phase text, p_kind text, p_message text, p_counts jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION public.log_run_event(p_run uuid, p_phase text, p_kind text, p_message text, p_counts jsonb) TO authenticated;
GRANT ALL ON FUNCTION public.log_run_event(p_run uuid, p_phase text, p_kind text, p_message text, p_counts jsonb) TO service_role;


-- marks_of: 033_learn_from_searches.sql

CREATE FUNCTION public.marks_of(p_question text) RETURNS jsonb
    LANGUAGE sql STABLE
    SET search_path TO ''
    AS $$
  select jsonb_build_object(
    'answers', (
      select coalesce(jsonb_object_agg(chunk_id, answers), '{}')
        from public.deep_memory_judgements
       where user_id = (select auth.uid()) and judge = 'person'
         and question_key = public.question_key(p_question)),
    'question', (
      select to_jsonb(q) from public.deep_memory_questions q
       where user_id = (select auth.uid()) and question_key = public.question_key(p_question)))
$$;

REVOKE ALL ON FUNCTION public.marks_of(p_question text) FROM PUBLIC;
GRANT ALL ON FUNCTION public.marks_of(p_question text) TO authenticated;
GRANT ALL ON FUNCTION public.marks_of(p_question text) TO service_role;


-- may_remove_run: 021_remove_completed_run.sql

CREATE FUNCTION public.may_remove_run(p_run public.deep_memory_training_runs) RETURNS boolean
    LANGUAGE sql STABLE
    SET search_path TO ''
    AS $$
  select p_run.status in ('generating_failed', 'training_failed')
      or p_run.status = 'completed'
         and not exists (
           select 1 from public.deep_memory_settings
            where user_id = p_run.user_id and enabled and active_run_id = p_run.id)
         and not (
           p_run.metrics ->> 'trainer' is not distinct from 'cloud'
           and exists (
             select 1 from public.deep_memory_training_runs older
              where older.user_id = p_run.user_id and older.id <> p_run.id
                and older.status = 'completed' and older.metrics ->> 'trainer' = 'cloud'
                and older.completed_at <= p_run.completed_at)
           and not exists (
             select 1 from public.deep_memory_training_runs newer
              where newer.user_id = p_run.user_id
                and newer.status = 'completed' and newer.metrics ->> 'trainer' = 'cloud'
                and newer.completed_at > p_run.completed_at))
$$;

REVOKE ALL ON FUNCTION public.may_remove_run(p_run public.deep_memory_training_runs) FROM PUBLIC;
GRANT ALL ON FUNCTION public.may_remove_run(p_run public.deep_memory_training_runs) TO authenticated;
GRANT ALL ON FUNCTION public.may_remove_run(p_run public.deep_memory_training_runs) TO service_role;


-- missed_questions: 033_learn_from_searches.sql

CREATE FUNCTION public.missed_questions(p_disagreeing boolean, p_limit integer) RETURNS TABLE(question text, why text, times bigint, last_asked timestamp with time zone, has_answer boolean, disagreement real)
    LANGUAGE sql STABLE
    SET search_path TO ''
    AS $$
  with asked as (
    select s.question_key, max(s.question) as question, sum(s.times) as times,
           max(s.asked_at) as last_asked, bool_or(s.is_missed) as is_missed,
           max(s.disagreement) as disagreement, array_agg(s.shown ->> 0) as first_hits
      from public.deep_memory_searches s where s.user_id = (select auth.uid())
     group by s.question_key),
  judged as (
    select j.question_key, bool_or(j.answers) as has_answer,
           array_agg(j.chunk_id) filter (where not j.answers) as wrong
      from public.deep_memory_judgements j
     where j.user_id = (select auth.uid()) and j.judge = 'person'
     group by j.question_key),
  own as (select * from public.deep_memory_questions where user_id = (select auth.uid())),
  known as (
    select coalesce(q.question, a.question) as question,
           case when q.found_nothing_by = 'person' then 'nothing answers'
                when q.first_hit = any (j.wrong) or a.first_hits && j.wrong then 'first hit is wrong'
                when a.is_missed then 'answer not found'
                when a.disagreement > 0 and j.question_key is null then 'rankings disagree'
           end as why,
           greatest(coalesce(a.times, 1), 1) as times,
           coalesce(a.last_asked, q.created_at) as last_asked,
           coalesce(j.has_answer, false) as has_answer, a.disagreement
      from own q full join asked a on a.question_key = q.question_key
      left join judged j on j.question_key = coalesce(q.question_key, a.question_key)
     where coalesce(q.purpose, 'open') = 'open' and q.is_unanswerable is not true
       and q.dismissed_at is null)
  select k.question, k.why, k.times, k.last_asked, k.has_answer, k.disagreement from known k
   where (k.why = 'rankings disagree') = p_disagreeing
   order by case when p_disagreeing then k.disagreement end desc, k.times desc,
            k.last_asked desc, k.question
   limit p_limit
$$;

REVOKE ALL ON FUNCTION public.missed_questions(p_disagreeing boolean, p_limit integer) FROM PUBLIC;
GRANT ALL ON FUNCTION public.missed_questions(p_disagreeing boolean, p_limit integer) TO authenticated;
GRANT ALL ON FUNCTION public.missed_questions(p_disagreeing boolean, p_limit integer) TO service_role;


-- model_in_cloud: 022_jobs_that_outlive_their_run.sql

CREATE FUNCTION public.model_in_cloud() RETURNS uuid
    LANGUAGE sql STABLE
    SET search_path TO ''
    AS $$
  select id from public.deep_memory_training_runs
   where user_id = (select auth.uid())
     and status = 'completed' and metrics ->> 'trainer' = 'cloud'
     and not exists (select from public.deep_memory_cloud_jobs
                      where user_id = (select auth.uid()) and completed)
   order by completed_at desc limit 1
$$;

REVOKE ALL ON FUNCTION public.model_in_cloud() FROM PUBLIC;
GRANT ALL ON FUNCTION public.model_in_cloud() TO authenticated;
GRANT ALL ON FUNCTION public.model_in_cloud() TO service_role;


-- note_batch: 016_generation_batches.sql

CREATE FUNCTION public.note_batch(p_run uuid, p_user uuid, p_worker uuid, p_attempt integer, p_batch uuid, p_answered integer) RETURNS boolean
    LANGUAGE plpgsql
    SET search_path TO ''
    AS $$
begin
  if not public.hold_run(p_run, p_user, p_worker, p_attempt, 'generating') then
    return false;
  end if;
  update public.deep_memory_generation_batches set answered = p_answered
   where id = p_batch and training_run_id = p_run;
  return true;
end $$;

REVOKE ALL ON FUNCTION public.note_batch(p_run uuid, p_user uuid, p_worker uuid, p_attempt integer, p_batch uuid, p_answered integer) FROM PUBLIC;
GRANT ALL ON FUNCTION public.note_batch(p_run uuid, p_user uuid, p_worker uuid, p_attempt integer, p_batch uuid, p_answered integer) TO service_role;


-- note_checks: 032_review_pairs.sql

CREATE FUNCTION public.note_checks(p_run uuid, p_version text, p_checks jsonb) RETURNS integer
    LANGUAGE plpgsql
    SET search_path TO ''
    AS $$
declare
  noted int;
begin
  update public.deep_memory_training_pairs p
     set doubt = c.doubt, flags = c.flags, checked_against = p_version
    from jsonb_to_recordset(p_checks)
      as c (id uuid, reviewed_at timestamptz, doubt float, flags text[])
   where p.training_run_id = p_run and p.id = c.id
     and p.reviewed_at is not distinct from c.reviewed_at;
  get diagnostics noted = row_count;
  return noted;
end $$;

REVOKE ALL ON FUNCTION public.note_checks(p_run uuid, p_version text, p_checks jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION public.note_checks(p_run uuid, p_version text, p_checks jsonb) TO service_role;
GRANT ALL ON FUNCTION public.note_checks(p_run uuid, p_version text, p_checks jsonb) TO authenticated;


-- note_review: 032_review_pairs.sql

CREATE FUNCTION public.note_review() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO ''
    AS $$
begin
  if new.question_text is distinct from old.question_text then
    new.original_question := nullif(
      coalesce(old.original_question, old.question_text), new.question_text);
    if new.review = 'to_review' and old.review = 'to_review' then
      new.review := 'kept';
    end if;
  elsif new.review = old.review then
    return new; -- a check noted what it found
  end if;
  new.reviewed_at := case when new.review <> 'to_review' then clock_timestamp() end;
  if new.question_text is distinct from old.question_text
     or (new.review = 'dropped') <> (old.review = 'dropped') then
    new.checked_against := null;
  end if;
  return new;
end $$;

REVOKE ALL ON FUNCTION public.note_review() FROM PUBLIC;
GRANT ALL ON FUNCTION public.note_review() TO service_role;


-- note_training: 009_run_recovery.sql

CREATE FUNCTION public.note_training(p_run uuid, p_user uuid, p_worker uuid, p_attempt integer, p_progress jsonb) RETURNS boolean
    LANGUAGE plpgsql
    SET search_path TO ''
    AS $$
begin
  if not public.hold_run(p_run, p_user, p_worker, p_attempt, 'training') then
    return false;
  end if;
  update public.deep_memory_training_runs
     set metrics = coalesce(metrics, '{}') || jsonb_build_object('progress', p_progress),
         lease_expires_at = public.lease_end()
   where id = p_run;
  return true;
end $$;

REVOKE ALL ON FUNCTION public.note_training(p_run uuid, p_user uuid, p_worker uuid, p_attempt integer, p_progress jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION public.note_training(p_run uuid, p_user uuid, p_worker uuid, p_attempt integer, p_progress jsonb) TO service_role;


-- note_waiting: 024_what_runs_wait_for.sql

CREATE FUNCTION public.note_waiting(p_run uuid, p_user uuid, p_worker uuid, p_attempt integer, p_waiting jsonb) RETURNS boolean
    LANGUAGE sql
    SET search_path TO ''
    AS $$
  with noted as (
    update public.deep_memory_training_runs set waiting = p_waiting
     where id = p_run and user_id = p_user and worker_id = p_worker and attempt = p_attempt
       and status in ('generating', 'training')
    returning 1)
  select exists (select 1 from noted)
$$;

REVOKE ALL ON FUNCTION public.note_waiting(p_run uuid, p_user uuid, p_worker uuid, p_attempt integer, p_waiting jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION public.note_waiting(p_run uuid, p_user uuid, p_worker uuid, p_attempt integer, p_waiting jsonb) TO service_role;


-- pairs_by_chunk: 032_review_pairs.sql

CREATE FUNCTION public.pairs_by_chunk(p_import uuid, p_user uuid, p_worker uuid, p_attempt integer) RETURNS jsonb
    LANGUAGE plpgsql
    SET search_path TO ''
    AS $$
begin
  if not public.hold_import(p_import, p_user, p_worker, p_attempt) then
    return null;
  end if;
  return jsonb_build_object('pairs', (
    select coalesce(jsonb_object_agg(c.chunk_id, c.pairs), '{}') from (
      select p.chunk_id, count(*) as pairs from public.deep_memory_training_pairs p
        join public.deep_memory_training_runs r on r.id = p.training_run_id
       where r.user_id = p_user and p.review <> 'dropped' group by p.chunk_id) c));
end $$;

REVOKE ALL ON FUNCTION public.pairs_by_chunk(p_import uuid, p_user uuid, p_worker uuid, p_attempt integer) FROM PUBLIC;
GRANT ALL ON FUNCTION public.pairs_by_chunk(p_import uuid, p_user uuid, p_worker uuid, p_attempt integer) TO service_role;


-- person_found_an_answer: 033_learn_from_searches.sql

CREATE FUNCTION public.person_found_an_answer(p_question text) RETURNS boolean
    LANGUAGE sql STABLE
    SET search_path TO ''
    AS $$
  select exists (
    select from public.deep_memory_judgements
     where user_id = (select auth.uid()) and question_key = public.question_key(p_question)
       and judge = 'person' and answers)
$$;

REVOKE ALL ON FUNCTION public.person_found_an_answer(p_question text) FROM PUBLIC;
GRANT ALL ON FUNCTION public.person_found_an_answer(p_question text) TO authenticated;
GRANT ALL ON FUNCTION public.person_found_an_answer(p_question text) TO service_role;


-- proceed_run: 009_run_recovery.sql

CREATE FUNCTION public.proceed_run(p_run uuid) RETURNS SETOF public.deep_memory_training_runs
    LANGUAGE plpgsql
    SET search_path TO ''
    AS $$
declare
  moved public.deep_memory_training_runs;
begin
  update public.deep_memory_training_runs
     set status = case status when 'generating_failed' then 'generating' else 'training' end,
         attempt = attempt + 1, worker_id = null, lease_expires_at = public.lease_end(),
         error_message = null, set_aside = false
   where id = p_run and user_id = auth.uid() and status in ('generating_failed', 'training_failed')
  returning * into moved;
  if moved.id is null then
    return;
  end if;
  if moved.status = 'generating' then
    delete from public.deep_memory_run_chunks c
     where c.training_run_id = p_run
       and not exists (select 1 from public.deep_memory_training_pairs p
                        where p.training_run_id = p_run and p.chunk_id = c.chunk_id);
    -- Pairs from before this migration have no chunk row yet.
    insert into public.deep_memory_run_chunks (training_run_id, chunk_id)
    select distinct p_run, chunk_id from public.deep_memory_training_pairs
     where training_run_id = p_run
    on conflict do nothing;
    update public.deep_memory_training_runs
       set processed_chunks = (select count(*) from public.deep_memory_run_chunks
                                where training_run_id = p_run)
     where id = p_run
    returning * into moved;
  end if;
  perform public.log_run_event(p_run, public.run_phase(moved.status), 'proceeded', 'Proceeded',
    jsonb_build_object('processed_chunks', moved.processed_chunks, 'pairs', moved.pair_count));
  return next moved;
end $$;

REVOKE ALL ON FUNCTION public.proceed_run(p_run uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION public.proceed_run(p_run uuid) TO authenticated;
GRANT ALL ON FUNCTION public.proceed_run(p_run uuid) TO service_role;


-- question_key: 018_several_relevant_chunks.sql

CREATE FUNCTION public.question_key(p_question text) RETURNS text
    LANGUAGE sql IMMUTABLE
    AS $$
  select md5(lower(regexp_replace(btrim(p_question), '\s+', ' ', 'g')))
$$;

GRANT ALL ON FUNCTION public.question_key(p_question text) TO anon;
GRANT ALL ON FUNCTION public.question_key(p_question text) TO authenticated;
GRANT ALL ON FUNCTION public.question_key(p_question text) TO service_role;


-- record_batch: 016_generation_batches.sql

CREATE FUNCTION public.record_batch(p_run uuid, p_user uuid, p_worker uuid, p_attempt integer, p_batch uuid, p_openai_id text) RETURNS boolean
    LANGUAGE plpgsql
    SET search_path TO ''
    AS $$
begin
  if not public.hold_run(p_run, p_user, p_worker, p_attempt, 'generating') then
    return false;
  end if;
  update public.deep_memory_generation_batches set openai_id = p_openai_id
   where id = p_batch and training_run_id = p_run and openai_id is null;
  if found then
    perform public.log_run_event(p_run, 'generation', 'batch_submitted',
      'Submitted to OpenAI as ' || p_openai_id,
      jsonb_build_object('chunks', (select count(*) from public.deep_memory_waiting_chunks
                                     where batch_id = p_batch)));
  end if;
  return true;
end $$;

REVOKE ALL ON FUNCTION public.record_batch(p_run uuid, p_user uuid, p_worker uuid, p_attempt integer, p_batch uuid, p_openai_id text) FROM PUBLIC;
GRANT ALL ON FUNCTION public.record_batch(p_run uuid, p_user uuid, p_worker uuid, p_attempt integer, p_batch uuid, p_openai_id text) TO service_role;


-- record_cloud_submission: 027_cloud_submission.sql

CREATE FUNCTION public.record_cloud_submission(p_run uuid, p_user uuid, p_worker uuid, p_attempt integer, p_submission jsonb, p_job_id text) RETURNS boolean
    LANGUAGE plpgsql
    SET search_path TO ''
    AS $$
declare
  held boolean := public.hold_run(p_run, p_user, p_worker, p_attempt, 'training');
begin
  if not held and p_job_id is null then
    return false;
  end if;
  if p_job_id is not null then
    delete from public.deep_memory_cloud_jobs
     where user_id = p_user and training_run_id = p_run and job_id is null;
  end if;
  insert into public.deep_memory_cloud_jobs (user_id, training_run_id, job_id, submission, job)
  values (p_user, p_run, p_job_id, p_submission,
          coalesce(p_job_id, 'submitting:' || coalesce((select string_agg(known, ',')
            from jsonb_array_elements_text(p_submission -> 'known') as known), ''))
          || ' for questions ' || (p_submission ->> 'questions'))
  on conflict do nothing;
  if held or public.hold_run(p_run, p_user, p_worker, p_attempt, 'training_failed') then
    update public.deep_memory_training_runs
       set deeplake_job_id = p_job_id, cloud_submission = p_submission
     where id = p_run;
  end if;
  if held and p_job_id is not null then
    perform public.log_run_event(p_run, 'training', 'submitted',
      'Submitted to DeepLake Cloud as job ' || p_job_id);
  end if;
  return held;
end $$;

REVOKE ALL ON FUNCTION public.record_cloud_submission(p_run uuid, p_user uuid, p_worker uuid, p_attempt integer, p_submission jsonb, p_job_id text) FROM PUBLIC;
GRANT ALL ON FUNCTION public.record_cloud_submission(p_run uuid, p_user uuid, p_worker uuid, p_attempt integer, p_submission jsonb, p_job_id text) TO service_role;


-- record_training_job: 027_cloud_submission.sql

CREATE FUNCTION public.record_training_job(p_run uuid, p_user uuid, p_worker uuid, p_attempt integer, p_job text) RETURNS boolean
    LANGUAGE plpgsql
    SET search_path TO ''
    AS $$
begin
  return public.record_cloud_submission(p_run, p_user, p_worker, p_attempt,
    public.submission_of_text(p_job), public.job_of_text(p_job));
end $$;

REVOKE ALL ON FUNCTION public.record_training_job(p_run uuid, p_user uuid, p_worker uuid, p_attempt integer, p_job text) FROM PUBLIC;
GRANT ALL ON FUNCTION public.record_training_job(p_run uuid, p_user uuid, p_worker uuid, p_attempt integer, p_job text) TO service_role;


-- remove_completed_run: 021_remove_completed_run.sql

CREATE FUNCTION public.remove_completed_run(p_run uuid) RETURNS integer
    LANGUAGE plpgsql
    SET search_path TO ''
    AS $$
declare
  me uuid := (select auth.uid());
  pairs int;
begin
  -- Whoever chooses a model, or switches it on, waits here or is waited for.
  perform 1 from public.deep_memory_settings where user_id = me for update;
  delete from public.deep_memory_training_runs r
   where r.id = p_run and r.user_id = me and r.status = 'completed' and public.may_remove_run(r)
  returning r.pair_count into pairs;
  if pairs is not null then
    update public.deep_memory_settings s
       set (last_training_run_id, last_trained_at) = (
             select r.id, r.completed_at from public.deep_memory_training_runs r
              where r.user_id = me and r.status = 'completed'
              order by r.completed_at desc, r.id limit 1)
     where s.user_id = me and s.last_training_run_id is null;
  end if;
  return pairs;
end $$;

REVOKE ALL ON FUNCTION public.remove_completed_run(p_run uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION public.remove_completed_run(p_run uuid) TO authenticated;
GRANT ALL ON FUNCTION public.remove_completed_run(p_run uuid) TO service_role;


-- remove_run: 009_run_recovery.sql

CREATE FUNCTION public.remove_run(p_run uuid) RETURNS integer
    LANGUAGE plpgsql
    SET search_path TO ''
    AS $$
declare
  pairs int;
begin
  delete from public.deep_memory_training_runs
   where id = p_run and user_id = auth.uid() and status in ('generating_failed', 'training_failed')
  returning pair_count into pairs;
  return pairs;
end $$;

REVOKE ALL ON FUNCTION public.remove_run(p_run uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION public.remove_run(p_run uuid) TO authenticated;
GRANT ALL ON FUNCTION public.remove_run(p_run uuid) TO service_role;


-- rescue_imports: 029_document_imports.sql

CREATE FUNCTION public.rescue_imports() RETURNS SETOF public.document_imports
    LANGUAGE sql
    SET search_path TO ''
    AS $$
  update public.document_imports
     set status = 'interrupted', worker_id = null, lease_expires_at = null,
         message = 'The app stopped while documents were being added.'
   where status = 'adding' and (lease_expires_at is null or lease_expires_at < now())
     and now() >= (select coalesce(max(grace_until), now()) from public.deep_memory_watch)
  returning *
$$;

REVOKE ALL ON FUNCTION public.rescue_imports() FROM PUBLIC;
GRANT ALL ON FUNCTION public.rescue_imports() TO service_role;


-- rescue_runs: 026_heartbeat.sql

CREATE FUNCTION public.rescue_runs() RETURNS SETOF public.deep_memory_training_runs
    LANGUAGE plpgsql
    SET search_path TO ''
    AS $$
declare
  grace_ends timestamptz;
  rescued public.deep_memory_training_runs;
begin
  update public.deep_memory_watch
     set grace_until = case when swept_at < now() - interval '15 seconds'
                            then now() + interval '20 seconds' else grace_until end,
         swept_at = now()
   where is_the_row -- some hosts refuse an update without a condition
  returning grace_until into grace_ends;
  if now() < grace_ends then
    return;
  end if;
  for rescued in
    update public.deep_memory_training_runs
       set status = status || '_failed', worker_id = null, lease_expires_at = null,
           error_message = 'The app stopped while '
             || case status when 'generating' then 'it was generating questions'
                            else 'Deep Memory was training' end
             || '. What was made is kept.'
     where status in ('generating', 'training')
       and (lease_expires_at is null or lease_expires_at < now())
    returning *
  loop
    perform public.log_run_event(rescued.id, public.run_phase(rescued.status), 'rescued',
      rescued.error_message,
      jsonb_build_object('processed_chunks', rescued.processed_chunks, 'pairs', rescued.pair_count));
    return next rescued;
  end loop;
end $$;

REVOKE ALL ON FUNCTION public.rescue_runs() FROM PUBLIC;
GRANT ALL ON FUNCTION public.rescue_runs() TO service_role;


-- retry_problem_chunks: 012_retry_problem_chunks.sql

CREATE FUNCTION public.retry_problem_chunks(p_run uuid) RETURNS SETOF public.deep_memory_training_runs
    LANGUAGE plpgsql
    SET search_path TO ''
    AS $$
declare
  moved public.deep_memory_training_runs;
  again int;
begin
  update public.deep_memory_training_runs
     set status = 'generating_failed'
   where id = p_run and user_id = auth.uid() and status = 'generated'
     and exists (select 1 from public.deep_memory_run_chunks
                  where training_run_id = p_run and problem is not null);
  if not found then
    return;
  end if;
  delete from public.deep_memory_run_chunks
   where training_run_id = p_run and problem is not null;
  get diagnostics again = row_count;
  update public.deep_memory_training_runs
     set status = 'generating', attempt = attempt + 1, worker_id = null,
         lease_expires_at = public.lease_end(), set_aside = false,
         processed_chunks = (select count(*) from public.deep_memory_run_chunks
                              where training_run_id = p_run)
   where id = p_run
  returning * into moved;
  perform public.log_run_event(p_run, 'generation', 'retried', 'Asking again',
    jsonb_build_object('chunks', again, 'pairs', moved.pair_count));
  return next moved;
end $$;

REVOKE ALL ON FUNCTION public.retry_problem_chunks(p_run uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION public.retry_problem_chunks(p_run uuid) TO authenticated;
GRANT ALL ON FUNCTION public.retry_problem_chunks(p_run uuid) TO service_role;


-- review_counts: 032_review_pairs.sql

CREATE FUNCTION public.review_counts(p_run uuid, p_version text) RETURNS jsonb
    LANGUAGE sql STABLE
    SET search_path TO ''
    AS $$
  with mine as (select review, original_question, flags, checked_against
                  from public.deep_memory_training_pairs where training_run_id = p_run)
  select jsonb_build_object(
      'to_review', count(*) filter (where review = 'to_review'),
      'kept', count(*) filter (where review = 'kept'),
      'dropped', count(*) filter (where review = 'dropped'),
      'edited', count(*) filter (where review <> 'dropped' and original_question is not null),
      'flagged', count(*) filter (where review = 'to_review' and flags <> '{}'),
      'unchecked', count(*) filter (where checked_against is distinct from p_version),
      'flags', (select coalesce(jsonb_object_agg(flag, pairs), '{}')
                  from (select flag, count(*) as pairs from mine m, unnest(m.flags) as flag
                         where m.review = 'to_review' group by flag) f))
    from mine
$$;

REVOKE ALL ON FUNCTION public.review_counts(p_run uuid, p_version text) FROM PUBLIC;
GRANT ALL ON FUNCTION public.review_counts(p_run uuid, p_version text) TO service_role;
GRANT ALL ON FUNCTION public.review_counts(p_run uuid, p_version text) TO authenticated;


-- review_pairs: 032_review_pairs.sql

CREATE FUNCTION public.review_pairs(p_run uuid, p_ids uuid[], p_seen timestamp with time zone[], p_review text, p_question text DEFAULT NULL::text) RETURNS SETOF public.deep_memory_training_pairs
    LANGUAGE sql
    SET search_path TO ''
    AS $$
  update public.deep_memory_training_pairs p
     set review = p_review, question_text = coalesce(p_question, p.question_text)
    from unnest(p_ids, p_seen) as meant (id, seen)
   where p.training_run_id = p_run and p.id = meant.id
     and (p_seen is null or p.reviewed_at is not distinct from meant.seen)
     and (p.review <> p_review or p.question_text <> coalesce(p_question, p.question_text))
  returning p.*
$$;

REVOKE ALL ON FUNCTION public.review_pairs(p_run uuid, p_ids uuid[], p_seen timestamp with time zone[], p_review text, p_question text) FROM PUBLIC;
GRANT ALL ON FUNCTION public.review_pairs(p_run uuid, p_ids uuid[], p_seen timestamp with time zone[], p_review text, p_question text) TO service_role;
GRANT ALL ON FUNCTION public.review_pairs(p_run uuid, p_ids uuid[], p_seen timestamp with time zone[], p_review text, p_question text) TO authenticated;


-- run_moves: 009_run_recovery.sql

CREATE FUNCTION public.run_moves() RETURNS TABLE(from_status text, to_status text, by_person boolean)
    LANGUAGE sql IMMUTABLE
    AS $$
  values ('generating', 'generated', false),
         ('generating', 'generating_failed', true),   -- stop
         ('generated', 'training', true),             -- start training
         ('generated', 'generating_failed', true),    -- discard
         ('training', 'completed', false),
         ('training', 'training_failed', true),       -- stop
         ('generating_failed', 'generating', true),   -- proceed
         ('training_failed', 'training', true)        -- proceed
$$;

GRANT ALL ON FUNCTION public.run_moves() TO anon;
GRANT ALL ON FUNCTION public.run_moves() TO authenticated;
GRANT ALL ON FUNCTION public.run_moves() TO service_role;


-- run_phase: 009_run_recovery.sql

CREATE FUNCTION public.run_phase(p_status text) RETURNS text
    LANGUAGE sql IMMUTABLE
    AS $$
  select case when p_status in ('generating', 'generating_failed') then 'generation'
              when p_status = 'generated' then 'review' else 'training' end
$$;

GRANT ALL ON FUNCTION public.run_phase(p_status text) TO anon;
GRANT ALL ON FUNCTION public.run_phase(p_status text) TO authenticated;
GRANT ALL ON FUNCTION public.run_phase(p_status text) TO service_role;


-- run_problems: 009_run_recovery.sql

CREATE FUNCTION public.run_problems(p_run uuid) RETURNS TABLE(problem text, chunks bigint)
    LANGUAGE sql STABLE
    SET search_path TO ''
    AS $$
  select problem, count(*) from public.deep_memory_run_chunks
   where training_run_id = p_run and problem is not null
   group by problem order by count(*) desc, problem
$$;

REVOKE ALL ON FUNCTION public.run_problems(p_run uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION public.run_problems(p_run uuid) TO authenticated;
GRANT ALL ON FUNCTION public.run_problems(p_run uuid) TO service_role;


-- save_log: 033_learn_from_searches.sql

CREATE FUNCTION public.save_log(p_rows jsonb) RETURNS bigint
    LANGUAGE sql
    SET search_path TO ''
    AS $$
  with saved as (
    insert into public.deep_memory_searches
      (user_id, question, source, shown, training_run_id, asked_at, times, expected, is_missed,
       disagreement)
    select distinct on (public.question_key(r.question))
           (select auth.uid()), r.question, 'log', r.shown, r.training_run_id,
           coalesce(r.asked_at, now()), r.times, r.expected, r.is_missed, r.disagreement
      from jsonb_to_recordset(p_rows) as r (
        question text, shown jsonb, training_run_id uuid, asked_at timestamptz, times int,
        expected jsonb, is_missed boolean, disagreement real)
    on conflict (user_id, question_key) where source = 'log' do update
       set shown = excluded.shown, training_run_id = excluded.training_run_id,
           asked_at = excluded.asked_at, times = excluded.times, expected = excluded.expected,
           is_missed = excluded.is_missed, disagreement = excluded.disagreement
    returning 1)
  select count(*) from saved
$$;

REVOKE ALL ON FUNCTION public.save_log(p_rows jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION public.save_log(p_rows jsonb) TO authenticated;
GRANT ALL ON FUNCTION public.save_log(p_rows jsonb) TO service_role;


-- save_pairs: 019_keep_late_answers.sql

CREATE FUNCTION public.save_pairs(p_run uuid, p_user uuid, p_worker uuid, p_attempt integer, p_chunks jsonb, p_pairs jsonb, p_usage jsonb) RETURNS SETOF public.deep_memory_training_runs
    LANGUAGE plpgsql
    SET search_path TO ''
    AS $$
declare
  finished text[];
begin
  if not (public.hold_run(p_run, p_user, p_worker, p_attempt, 'generating')
          or public.hold_run(p_run, p_user, p_worker, p_attempt, 'generating_failed')) then
    return;
  end if;
  with added as (
    insert into public.deep_memory_run_chunks (training_run_id, chunk_id, problem)
    select p_run, c.chunk_id, c.problem
      from jsonb_to_recordset(p_chunks) as c (chunk_id text, problem text)
    on conflict do nothing
    returning chunk_id)
  select array_agg(chunk_id) into finished from added;

  insert into public.deep_memory_training_pairs
    (training_run_id, chunk_id, chunk_preview, question_text, relevance_score)
  select distinct on (public.question_key(p.question_text))
         p_run, p.chunk_id, p.chunk_preview, p.question_text, p.relevance_score
    from rows from (jsonb_to_recordset(p_pairs)
           as (chunk_id text, chunk_preview text, question_text text, relevance_score float))
         with ordinality as p (chunk_id, chunk_preview, question_text, relevance_score, place)
   where p.chunk_id = any (finished)
     and not exists (select 1 from public.deep_memory_training_pairs stored
                      where stored.training_run_id = p_run
                        and public.question_key(stored.question_text)
                          = public.question_key(p.question_text))
   order by public.question_key(p.question_text), place
  on conflict do nothing;

  -- All its questions stand in the run already, under other chunks.
  update public.deep_memory_run_chunks c set problem = 'only duplicate questions'
   where c.training_run_id = p_run and c.chunk_id = any (finished) and c.problem is null
     and not exists (select 1 from public.deep_memory_training_pairs p
                      where p.training_run_id = p_run and p.chunk_id = c.chunk_id);

  return query
  update public.deep_memory_training_runs
     set processed_chunks = processed_chunks + coalesce(cardinality(finished), 0),
         usage = p_usage,
         lease_expires_at = case status when 'generating' then public.lease_end() end
   where id = p_run
  returning *;
end $$;

REVOKE ALL ON FUNCTION public.save_pairs(p_run uuid, p_user uuid, p_worker uuid, p_attempt integer, p_chunks jsonb, p_pairs jsonb, p_usage jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION public.save_pairs(p_run uuid, p_user uuid, p_worker uuid, p_attempt integer, p_chunks jsonb, p_pairs jsonb, p_usage jsonb) TO service_role;


-- save_waited_pairs: 016_generation_batches.sql

CREATE FUNCTION public.save_waited_pairs(p_run uuid, p_user uuid, p_worker uuid, p_attempt integer, p_answered text[], p_chunks jsonb, p_pairs jsonb, p_usage jsonb) RETURNS SETOF public.deep_memory_training_runs
    LANGUAGE plpgsql
    SET search_path TO ''
    AS $$
declare
  saved public.deep_memory_training_runs;
begin
  select * into saved from public.save_pairs(
    p_run, p_user, p_worker, p_attempt, p_chunks, p_pairs, p_usage);
  if saved.id is null then
    return;
  end if;
  delete from public.deep_memory_waiting_chunks
   where training_run_id = p_run and chunk_id = any (p_answered);
  return next saved;
end $$;

REVOKE ALL ON FUNCTION public.save_waited_pairs(p_run uuid, p_user uuid, p_worker uuid, p_attempt integer, p_answered text[], p_chunks jsonb, p_pairs jsonb, p_usage jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION public.save_waited_pairs(p_run uuid, p_user uuid, p_worker uuid, p_attempt integer, p_answered text[], p_chunks jsonb, p_pairs jsonb, p_usage jsonb) TO service_role;


-- say_job_goes_on: 022_jobs_that_outlive_their_run.sql

CREATE FUNCTION public.say_job_goes_on(p_run uuid, p_message text) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO ''
    AS $$
begin
  update public.deep_memory_training_runs
     set error_message = concat_ws('. ', rtrim(error_message, '.'), p_message)
   where id = p_run and status = 'training_failed'
     and position(p_message in coalesce(error_message, '')) = 0;
  if found then
    perform public.log_run_event(p_run, 'training', 'goes_on', p_message);
  end if;
end $$;

REVOKE ALL ON FUNCTION public.say_job_goes_on(p_run uuid, p_message text) FROM PUBLIC;
GRANT ALL ON FUNCTION public.say_job_goes_on(p_run uuid, p_message text) TO service_role;
GRANT ALL ON FUNCTION public.say_job_goes_on(p_run uuid, p_message text) TO authenticated;


-- say_nothing_answers: 033_learn_from_searches.sql

CREATE FUNCTION public.say_nothing_answers(p_question text, p_is_so boolean, p_judge text, p_origin text) RETURNS void
    LANGUAGE sql
    SET search_path TO ''
    AS $$
  insert into public.deep_memory_questions as q (question, origin, found_nothing_by)
  values (p_question, p_origin, case when p_is_so then p_judge end)
  on conflict (user_id, question_key) do update
     set found_nothing_by = case
           when p_judge = 'application' and q.found_nothing_by = 'person' then 'person'
           when p_is_so then p_judge end,
         dismissed_at = case when p_judge = 'person' then null else q.dismissed_at end
$$;

REVOKE ALL ON FUNCTION public.say_nothing_answers(p_question text, p_is_so boolean, p_judge text, p_origin text) FROM PUBLIC;
GRANT ALL ON FUNCTION public.say_nothing_answers(p_question text, p_is_so boolean, p_judge text, p_origin text) TO authenticated;
GRANT ALL ON FUNCTION public.say_nothing_answers(p_question text, p_is_so boolean, p_judge text, p_origin text) TO service_role;


-- say_unanswerable: 033_learn_from_searches.sql

CREATE FUNCTION public.say_unanswerable(p_question text, p_is_so boolean, p_origin text) RETURNS boolean
    LANGUAGE sql
    SET search_path TO ''
    AS $$
  with said as (
    insert into public.deep_memory_questions as q (question, origin, is_unanswerable)
    select p_question, p_origin, p_is_so
     where not (p_is_so and public.person_found_an_answer(p_question))
    on conflict (user_id, question_key) do update
       set is_unanswerable = excluded.is_unanswerable,
           purpose = case when q.is_unanswerable and not excluded.is_unanswerable
                            and not public.person_found_an_answer(p_question)
                          then 'open' else q.purpose end
    returning 1)
  select exists (select from said)
$$;

REVOKE ALL ON FUNCTION public.say_unanswerable(p_question text, p_is_so boolean, p_origin text) FROM PUBLIC;
GRANT ALL ON FUNCTION public.say_unanswerable(p_question text, p_is_so boolean, p_origin text) TO authenticated;
GRANT ALL ON FUNCTION public.say_unanswerable(p_question text, p_is_so boolean, p_origin text) TO service_role;


-- settle_cloud_job: 022_jobs_that_outlive_their_run.sql

CREATE FUNCTION public.settle_cloud_job(p_job text, p_completed boolean) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
begin
  if p_completed then
    update public.deep_memory_cloud_jobs set completed = true
     where user_id = (select auth.uid()) and job = p_job;
  else
    delete from public.deep_memory_cloud_jobs
     where user_id = (select auth.uid()) and job = p_job and not completed
       and created_at < now() - interval '1 minute';
  end if;
end $$;

REVOKE ALL ON FUNCTION public.settle_cloud_job(p_job text, p_completed boolean) FROM PUBLIC;
GRANT ALL ON FUNCTION public.settle_cloud_job(p_job text, p_completed boolean) TO service_role;
GRANT ALL ON FUNCTION public.settle_cloud_job(p_job text, p_completed boolean) TO authenticated;


-- settle_cloud_submission: 027_cloud_submission.sql

CREATE FUNCTION public.settle_cloud_submission(p_id uuid, p_completed boolean) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
begin
  if p_completed then
    update public.deep_memory_cloud_jobs set completed = true
     where user_id = (select auth.uid()) and id = p_id;
  else
    delete from public.deep_memory_cloud_jobs
     where user_id = (select auth.uid()) and id = p_id and not completed
       and created_at < now() - interval '1 minute';
  end if;
end $$;

REVOKE ALL ON FUNCTION public.settle_cloud_submission(p_id uuid, p_completed boolean) FROM PUBLIC;
GRANT ALL ON FUNCTION public.settle_cloud_submission(p_id uuid, p_completed boolean) TO service_role;
GRANT ALL ON FUNCTION public.settle_cloud_submission(p_id uuid, p_completed boolean) TO authenticated;


-- settle_import_files: 029_document_imports.sql

CREATE FUNCTION public.settle_import_files(p_import uuid, p_user uuid, p_worker uuid, p_attempt integer, p_outcomes jsonb) RETURNS boolean
    LANGUAGE plpgsql
    SET search_path TO ''
    AS $$
begin
  if not public.hold_import(p_import, p_user, p_worker, p_attempt) then
    return false;
  end if;
  insert into public.document_import_files as f
    (import_id, position, member, name, state, document_id, chunk_count, notes, message, next_step)
  select p_import, o.position, o.member, o.name, o.state, o.document_id, coalesce(o.chunk_count, 0),
         coalesce(o.notes, '[]'), o.message, o.next_step
    from jsonb_to_recordset(p_outcomes) as o (
      position int, member int, name text, state text, document_id text, chunk_count int,
      notes jsonb, message text, next_step text)
  on conflict (import_id, position, member) do update
     set name = excluded.name, state = excluded.state, document_id = excluded.document_id,
         chunk_count = excluded.chunk_count, notes = excluded.notes, message = excluded.message,
         next_step = excluded.next_step
   where f.state = 'waiting';
  return true;
end $$;

REVOKE ALL ON FUNCTION public.settle_import_files(p_import uuid, p_user uuid, p_worker uuid, p_attempt integer, p_outcomes jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION public.settle_import_files(p_import uuid, p_user uuid, p_worker uuid, p_attempt integer, p_outcomes jsonb) TO service_role;


-- start_import: 030_replace_documents.sql

CREATE FUNCTION public.start_import(p_import uuid, p_files jsonb) RETURNS SETOF public.document_imports
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO ''
    AS $$
  select * from public.begin_import(p_import, p_files, false)
$$;

REVOKE ALL ON FUNCTION public.start_import(p_import uuid, p_files jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION public.start_import(p_import uuid, p_files jsonb) TO service_role;
GRANT ALL ON FUNCTION public.start_import(p_import uuid, p_files jsonb) TO authenticated;


-- start_run: 028_batch_mode.sql

CREATE FUNCTION public.start_run(p_total_chunks integer, p_settings jsonb) RETURNS SETOF public.deep_memory_training_runs
    LANGUAGE plpgsql
    SET search_path TO ''
    AS $$
declare
  batch_mode jsonb := coalesce(p_settings -> 'batch_mode', p_settings -> 'patient');
  started public.deep_memory_training_runs;
begin
  if exists (select 1 from public.deep_memory_training_runs
              where user_id = auth.uid() and status <> 'completed' and set_aside) then
    return;
  end if;
  insert into public.deep_memory_training_runs
    (user_id, status, total_chunks, settings, lease_expires_at)
  values (auth.uid(), 'generating', p_total_chunks,
          p_settings || jsonb_strip_nulls(
            jsonb_build_object('batch_mode', batch_mode, 'patient', batch_mode)),
          public.lease_end())
  on conflict (user_id) where status <> 'completed' and not set_aside do nothing
  returning * into started;
  if started.id is not null then
    perform public.log_run_event(started.id, 'generation', 'started', 'Generation started',
      jsonb_build_object('total_chunks', p_total_chunks));
    return next started;
  end if;
end $$;

REVOKE ALL ON FUNCTION public.start_run(p_total_chunks integer, p_settings jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION public.start_run(p_total_chunks integer, p_settings jsonb) TO authenticated;
GRANT ALL ON FUNCTION public.start_run(p_total_chunks integer, p_settings jsonb) TO service_role;


-- start_training: 027_cloud_submission.sql

CREATE FUNCTION public.start_training(p_run uuid) RETURNS SETOF public.deep_memory_training_runs
    LANGUAGE plpgsql
    SET search_path TO ''
    AS $$
declare
  moved public.deep_memory_training_runs;
begin
  update public.deep_memory_training_runs
     set status = 'training', attempt = attempt + 1, worker_id = null,
         lease_expires_at = public.lease_end(), error_message = null, deeplake_job_id = null,
         cloud_submission = null, set_aside = false
   where id = p_run and user_id = auth.uid() and status = 'generated'
  returning * into moved;
  if moved.id is not null then
    perform public.log_run_event(p_run, 'training', 'started', 'Training started',
      jsonb_build_object('pairs', moved.pair_count));
    return next moved;
  end if;
end $$;

REVOKE ALL ON FUNCTION public.start_training(p_run uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION public.start_training(p_run uuid) TO authenticated;
GRANT ALL ON FUNCTION public.start_training(p_run uuid) TO service_role;


-- stop_import: 029_document_imports.sql

CREATE FUNCTION public.stop_import(p_import uuid) RETURNS SETOF public.document_imports
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO ''
    AS $$
  update public.document_imports
     set status = 'stopped', message = 'You stopped it.', lease_expires_at = null
   where id = p_import and user_id = auth.uid() and status = 'adding'
  returning *
$$;

REVOKE ALL ON FUNCTION public.stop_import(p_import uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION public.stop_import(p_import uuid) TO service_role;
GRANT ALL ON FUNCTION public.stop_import(p_import uuid) TO authenticated;


-- stop_run: 019_keep_late_answers.sql

CREATE FUNCTION public.stop_run(p_run uuid, p_by text) RETURNS SETOF public.deep_memory_training_runs
    LANGUAGE plpgsql
    SET search_path TO ''
    AS $$
declare
  moved public.deep_memory_training_runs;
begin
  update public.deep_memory_training_runs
     set status = case status when 'training' then 'training_failed' else 'generating_failed' end,
         error_message = case status when 'generated' then 'Discarded in review by ' || p_by
                                     else 'Stopped by ' || p_by end,
         lease_expires_at = null
   where id = p_run and user_id = auth.uid() and status in ('generating', 'generated', 'training')
  returning * into moved;
  if moved.id is not null then
    perform public.log_run_event(p_run, public.run_phase(moved.status), 'stopped',
      moved.error_message,
      jsonb_build_object('processed_chunks', moved.processed_chunks, 'pairs', moved.pair_count));
    return next moved;
  end if;
end $$;

REVOKE ALL ON FUNCTION public.stop_run(p_run uuid, p_by text) FROM PUBLIC;
GRANT ALL ON FUNCTION public.stop_run(p_run uuid, p_by text) TO authenticated;
GRANT ALL ON FUNCTION public.stop_run(p_run uuid, p_by text) TO service_role;


-- submission_of_text: 027_cloud_submission.sql

CREATE FUNCTION public.submission_of_text(p_text text) RETURNS jsonb
    LANGUAGE sql IMMUTABLE
    SET search_path TO ''
    AS $$
  select jsonb_build_object(
    'questions', split_part(p_text, ' for questions ', 2),
    'known', case when p_text like 'submitting:%' then to_jsonb(string_to_array(
      substr(split_part(p_text, ' for questions ', 1), length('submitting:') + 1), ','))
      else '[]' end)
$$;

REVOKE ALL ON FUNCTION public.submission_of_text(p_text text) FROM PUBLIC;
GRANT ALL ON FUNCTION public.submission_of_text(p_text text) TO service_role;


-- take_back_judgement: 034_counted_model_judgements.sql

CREATE FUNCTION public.take_back_judgement(p_question text, p_chunk text) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO ''
    AS $$
begin
  delete from public.deep_memory_judgements
   where user_id = (select auth.uid()) and question_key = public.question_key(p_question)
     and chunk_id = p_chunk and judge = 'person';
  update public.deep_memory_questions set purpose = 'open'
   where user_id = (select auth.uid()) and question_key = public.question_key(p_question)
     and not is_unanswerable and not public.person_found_an_answer(p_question);
end $$;

REVOKE ALL ON FUNCTION public.take_back_judgement(p_question text, p_chunk text) FROM PUBLIC;
GRANT ALL ON FUNCTION public.take_back_judgement(p_question text, p_chunk text) TO service_role;
GRANT ALL ON FUNCTION public.take_back_judgement(p_question text, p_chunk text) TO authenticated;


-- unchecked_pairs: 032_review_pairs.sql

CREATE FUNCTION public.unchecked_pairs(p_run uuid, p_version text) RETURNS SETOF public.deep_memory_training_pairs
    LANGUAGE sql STABLE
    SET search_path TO ''
    AS $$
  select p.* from public.deep_memory_training_pairs p
   where p.training_run_id = p_run and p.chunk_id in (
     select chunk_id from public.deep_memory_training_pairs
      where training_run_id = p_run and checked_against is distinct from p_version)
   order by p.id
$$;

REVOKE ALL ON FUNCTION public.unchecked_pairs(p_run uuid, p_version text) FROM PUBLIC;
GRANT ALL ON FUNCTION public.unchecked_pairs(p_run uuid, p_version text) TO service_role;
GRANT ALL ON FUNCTION public.unchecked_pairs(p_run uuid, p_version text) TO authenticated;


-- use_model: 017_use_model.sql

CREATE FUNCTION public.use_model(p_run uuid) RETURNS SETOF public.deep_memory_training_runs
    LANGUAGE plpgsql
    SET search_path TO ''
    AS $$
declare
  chosen public.deep_memory_training_runs;
begin
  select * into chosen from public.deep_memory_training_runs
   where id = p_run and user_id = (select auth.uid()) and status = 'completed'
     and (metrics ->> 'trainer' is distinct from 'cloud' or id = public.model_in_cloud());
  if not found then
    return;
  end if;
  insert into public.deep_memory_settings (user_id, enabled, active_run_id)
  values (chosen.user_id, true, chosen.id)
  on conflict (user_id) do update
    set enabled = true, active_run_id = excluded.active_run_id, updated_at = now();
  perform public.log_run_event(p_run, 'training', 'chosen', 'Search uses this model');
  return next chosen;
end $$;

REVOKE ALL ON FUNCTION public.use_model(p_run uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION public.use_model(p_run uuid) TO authenticated;
GRANT ALL ON FUNCTION public.use_model(p_run uuid) TO service_role;


-- waiting_batches: 016_generation_batches.sql

CREATE FUNCTION public.waiting_batches(p_run uuid) RETURNS TABLE(id uuid, openai_id text, answered integer, created_at timestamp with time zone, chunk_ids text[])
    LANGUAGE sql STABLE
    SET search_path TO ''
    AS $$
  select b.id, b.openai_id, b.answered, b.created_at,
         array(select chunk_id from public.deep_memory_waiting_chunks where batch_id = b.id)
    from public.deep_memory_generation_batches b
   where b.training_run_id = p_run
   order by b.created_at, b.id
$$;

REVOKE ALL ON FUNCTION public.waiting_batches(p_run uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION public.waiting_batches(p_run uuid) TO authenticated;
GRANT ALL ON FUNCTION public.waiting_batches(p_run uuid) TO service_role;


-- waiting_progress: 016_generation_batches.sql

CREATE FUNCTION public.waiting_progress(p_run uuid) RETURNS TABLE(chunks bigint, answered bigint)
    LANGUAGE sql STABLE
    SET search_path TO ''
    AS $$
  select (select count(*) from public.deep_memory_waiting_chunks where training_run_id = p_run),
         (select coalesce(sum(b.answered), 0) from public.deep_memory_generation_batches b
           where b.training_run_id = p_run)
$$;

REVOKE ALL ON FUNCTION public.waiting_progress(p_run uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION public.waiting_progress(p_run uuid) TO authenticated;
GRANT ALL ON FUNCTION public.waiting_progress(p_run uuid) TO service_role;


-- why_no_questions: 023_fail_without_questions.sql

CREATE FUNCTION public.why_no_questions(p_run uuid, p_total_chunks integer) RETURNS text
    LANGUAGE sql STABLE
    SET search_path TO ''
    AS $$
  select case when p_total_chunks = 0
    then 'The knowledge base is empty, so nothing was asked. Add documents, then proceed.'
    else 'No chunk gave a question'
      || coalesce(' (' || (select string_agg(chunks || ' ' || problem, ', ' order by place)
                             from public.run_problems(p_run)
                                  with ordinality as named (problem, chunks, place)
                            where place <= 3) || ')', '')
      || '. Check the question model and the documents. Proceed asks about all chunks again.'
  end
$$;

REVOKE ALL ON FUNCTION public.why_no_questions(p_run uuid, p_total_chunks integer) FROM PUBLIC;
GRANT ALL ON FUNCTION public.why_no_questions(p_run uuid, p_total_chunks integer) TO service_role;
