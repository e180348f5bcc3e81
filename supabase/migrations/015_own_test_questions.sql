-- Test questions that people bring to measure any of their models on. A set is written and read as
-- a whole, so it is one row, and bringing it again replaces it in one statement. They are here and
-- not beside the vector store, because that may be DeepLake Cloud, and they outlive its documents.
create table public.deep_memory_test_sets (
  id uuid primary key default gen_random_uuid(),
  user_id uuid not null default auth.uid() references auth.users (id) on delete cascade,
  name text not null check (name <> ''),
  questions jsonb not null, -- [{"question", "expected": [{"source", "answer"}]}]
  question_count int generated always as (jsonb_array_length(questions)) stored,
  created_at timestamptz not null default now(),
  unique (user_id, name)
);

alter table public.deep_memory_test_sets enable row level security;
create policy "Users can manage their own test sets"
  on public.deep_memory_test_sets for all to authenticated
  using ((select auth.uid()) = user_id)
  with check ((select auth.uid()) = user_id);
