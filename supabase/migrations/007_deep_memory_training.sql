-- Deep Memory training: runs, their question-chunk pairs, and one settings row per user (ZIP-004).
--
-- The policies call auth.uid() inside a sub-select, so that Postgres evaluates it once per
-- statement and not once per row, and name the role, so that anon is refused without a look.

create table public.deep_memory_training_runs (
  id uuid primary key default gen_random_uuid(),
  user_id uuid not null references auth.users (id) on delete cascade,
  status text not null default 'generating'
    constraint deep_memory_training_runs_status_check
    check (status in ('generating', 'generated', 'training', 'completed', 'failed')),
  total_chunks int not null default 0,
  processed_chunks int not null default 0,
  pair_count int not null default 0,
  deeplake_job_id text,
  metrics jsonb default '{}',
  error_message text,
  started_at timestamptz default now(),
  completed_at timestamptz,
  created_at timestamptz default now()
);

create table public.deep_memory_training_pairs (
  id uuid primary key default gen_random_uuid(),
  training_run_id uuid not null
    references public.deep_memory_training_runs (id) on delete cascade,
  question_text text not null,
  chunk_id text not null,
  chunk_preview text,
  relevance_score float not null default 1.0,
  created_at timestamptz default now()
);

create table public.deep_memory_settings (
  id uuid primary key default gen_random_uuid(),
  user_id uuid not null unique references auth.users (id) on delete cascade,
  enabled boolean not null default false,
  last_trained_at timestamptz,
  last_training_run_id uuid references public.deep_memory_training_runs (id),
  updated_at timestamptz default now()
);

create index idx_training_pairs_run_id on public.deep_memory_training_pairs (training_run_id);
create index idx_training_runs_user_status on public.deep_memory_training_runs (user_id, status);

alter table public.deep_memory_training_runs enable row level security;
create policy "Users can manage their own training runs"
  on public.deep_memory_training_runs for all to authenticated
  using ((select auth.uid()) = user_id)
  with check ((select auth.uid()) = user_id);

alter table public.deep_memory_training_pairs enable row level security;
create policy "Users can manage training pairs via run ownership"
  on public.deep_memory_training_pairs for all to authenticated
  using (training_run_id in (
    select id from public.deep_memory_training_runs where user_id = (select auth.uid())))
  with check (training_run_id in (
    select id from public.deep_memory_training_runs where user_id = (select auth.uid())));

alter table public.deep_memory_settings enable row level security;
create policy "Users can manage their own settings"
  on public.deep_memory_settings for all to authenticated
  using ((select auth.uid()) = user_id)
  with check ((select auth.uid()) = user_id);
