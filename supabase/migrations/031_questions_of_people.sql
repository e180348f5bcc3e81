-- Search was measured and taught on questions that the app wrote itself, from the very chunks. These
-- tables keep what people ask, and what answers it.
--
-- A question stands once, so it has one purpose: it measures search or teaches it, never both. What
-- answers it is a judgement, which holds in every set of questions that has this question. A model's
-- judgement stands beside the person's and does not replace it; so does that of another
-- application's users, until the person has reviewed it.

create table public.deep_memory_questions (
  user_id uuid not null default auth.uid() references auth.users (id) on delete cascade,
  question text not null check (btrim(question) <> '' and length(question) <= 2000),
  question_key text not null generated always as (public.question_key(question)) stored,
  purpose text not null default 'open' check (purpose in ('open', 'test', 'training')),
  origin text not null check (origin in ('search', 'application', 'log', 'form')),
  is_unanswerable boolean not null default false, -- the documents have no answer, a person says
  created_at timestamptz not null default now(),
  primary key (user_id, question_key)
);

create table public.deep_memory_judgements (
  user_id uuid not null default auth.uid() references auth.users (id) on delete cascade,
  question text not null check (btrim(question) <> '' and length(question) <= 2000),
  question_key text not null generated always as (public.question_key(question)) stored,
  chunk_id text not null check (length(chunk_id) <= 200),
  judge text not null default 'person' check (judge in ('person', 'application', 'model')),
  answers boolean not null,
  reason text not null default '' check (length(reason) <= 2000),
  judged_at timestamptz not null default now(),
  primary key (user_id, question_key, chunk_id, judge)
);

-- Searches are kept with the person's consent only, and for a time that the person sets.
alter table public.deep_memory_settings
  add column keeps_searches boolean not null default false,
  add column searches_kept_days int not null default 90
    check (searches_kept_days between 1 and 3650);

create table public.deep_memory_searches (
  id uuid primary key default gen_random_uuid(),
  user_id uuid not null default auth.uid() references auth.users (id) on delete cascade,
  question text not null check (btrim(question) <> '' and length(question) <= 2000),
  question_key text not null generated always as (public.question_key(question)) stored,
  source text not null check (source in ('page', 'application', 'log')),
  shown jsonb not null default '[]', -- ids of chunks, best first
  training_run_id uuid references public.deep_memory_training_runs (id) on delete set null,
  asked_at timestamptz not null default now()
);
create index idx_searches_newest on public.deep_memory_searches (user_id, asked_at desc, id);
create index idx_searches_run on public.deep_memory_searches (training_run_id);

alter table public.deep_memory_questions enable row level security;
create policy "Users can manage their own questions"
  on public.deep_memory_questions for all to authenticated
  using ((select auth.uid()) = user_id)
  with check ((select auth.uid()) = user_id);

alter table public.deep_memory_judgements enable row level security;
create policy "Users can manage their own judgements"
  on public.deep_memory_judgements for all to authenticated
  using ((select auth.uid()) = user_id)
  with check ((select auth.uid()) = user_id);

alter table public.deep_memory_searches enable row level security;
create policy "Users can manage their own searches"
  on public.deep_memory_searches for all to authenticated
  using ((select auth.uid()) = user_id)
  with check ((select auth.uid()) = user_id);
create policy "Searches are kept with consent"
  on public.deep_memory_searches as restrictive for insert to authenticated
  with check (source = 'log' or exists (
    select from public.deep_memory_settings s
     where s.user_id = (select auth.uid()) and s.keeps_searches));
