-- The patient mode: chunks that wait for an answer of OpenAI's Batch API, so that a restart, a stop
-- or a crash at any moment asks none of them twice.
--
-- A batch is written here before it is submitted, and gets OpenAI's id after. A chunk waits in one
-- batch of its run at most: the key says so. A chunk leaves in the statement that stores its pairs,
-- and what a batch leaves without an answer is free again when the batch is forgotten.

create table public.deep_memory_generation_batches (
  id uuid primary key, -- also in the metadata of the batch at OpenAI, to find it again
  training_run_id uuid not null
    references public.deep_memory_training_runs (id) on delete cascade,
  openai_id text,      -- null: about to be submitted, and perhaps it was
  answered int not null default 0, -- requests, as OpenAI last told
  created_at timestamptz not null default now()
);
create index idx_generation_batches_run
  on public.deep_memory_generation_batches (training_run_id);

create table public.deep_memory_waiting_chunks (
  training_run_id uuid not null
    references public.deep_memory_training_runs (id) on delete cascade,
  chunk_id text not null,
  batch_id uuid not null
    references public.deep_memory_generation_batches (id) on delete cascade,
  primary key (training_run_id, chunk_id)
);
create index idx_waiting_chunks_batch on public.deep_memory_waiting_chunks (batch_id);

alter table public.deep_memory_generation_batches enable row level security;
create policy "Users can see batches via run ownership"
  on public.deep_memory_generation_batches for select to authenticated
  using (training_run_id in (
    select id from public.deep_memory_training_runs where user_id = (select auth.uid())));

alter table public.deep_memory_waiting_chunks enable row level security;
create policy "Users can see waiting chunks via run ownership"
  on public.deep_memory_waiting_chunks for select to authenticated
  using (training_run_id in (
    select id from public.deep_memory_training_runs where user_id = (select auth.uid())));

-- What only a worker does, as in 009: false or no row means that this attempt lost the run. ------

-- Before a batch is submitted. Sent twice, it changes nothing; a chunk that waits in another batch
-- is refused by the key.
create function public.intend_batch(
  p_run uuid, p_user uuid, p_worker uuid, p_attempt int, p_batch uuid, p_chunk_ids text[])
returns boolean language plpgsql set search_path = '' as $$
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

create function public.record_batch(
  p_run uuid, p_user uuid, p_worker uuid, p_attempt int, p_batch uuid, p_openai_id text)
returns boolean language plpgsql set search_path = '' as $$
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

-- How far OpenAI is, for the screens to show.
create function public.note_batch(
  p_run uuid, p_user uuid, p_worker uuid, p_attempt int, p_batch uuid, p_answered int)
returns boolean language plpgsql set search_path = '' as $$
begin
  if not public.hold_run(p_run, p_user, p_worker, p_attempt, 'generating') then
    return false;
  end if;
  update public.deep_memory_generation_batches set answered = p_answered
   where id = p_batch and training_run_id = p_run;
  return true;
end $$;

-- save_pairs for chunks that waited: they stop waiting in the same transaction. p_answered may name
-- more than p_chunks: chunks whose document is gone, which were paid for all the same.
create function public.save_waited_pairs(
  p_run uuid, p_user uuid, p_worker uuid, p_attempt int,
  p_answered text[], p_chunks jsonb, p_pairs jsonb, p_usage jsonb)
returns setof public.deep_memory_training_runs
language plpgsql set search_path = '' as $$
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

-- A batch ended and what came back is stored. Chunks that still wait in it are free again.
create function public.forget_batch(
  p_run uuid, p_user uuid, p_worker uuid, p_attempt int, p_batch uuid, p_how text)
returns boolean language plpgsql set search_path = '' as $$
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

-- Batches of a run with the chunks that wait in each, oldest first. With the rights of the caller.
create function public.waiting_batches(p_run uuid)
returns table (id uuid, openai_id text, answered int, created_at timestamptz, chunk_ids text[])
language sql stable set search_path = '' as $$
  select b.id, b.openai_id, b.answered, b.created_at,
         array(select chunk_id from public.deep_memory_waiting_chunks where batch_id = b.id)
    from public.deep_memory_generation_batches b
   where b.training_run_id = p_run
   order by b.created_at, b.id
$$;

-- How many answers are on their way, and how many of them OpenAI has: what screens poll.
create function public.waiting_progress(p_run uuid)
returns table (chunks bigint, answered bigint)
language sql stable set search_path = '' as $$
  select (select count(*) from public.deep_memory_waiting_chunks where training_run_id = p_run),
         (select coalesce(sum(b.answered), 0) from public.deep_memory_generation_batches b
           where b.training_run_id = p_run)
$$;

revoke execute on function
  public.intend_batch(uuid, uuid, uuid, int, uuid, text[]),
  public.record_batch(uuid, uuid, uuid, int, uuid, text),
  public.note_batch(uuid, uuid, uuid, int, uuid, int),
  public.save_waited_pairs(uuid, uuid, uuid, int, text[], jsonb, jsonb, jsonb),
  public.forget_batch(uuid, uuid, uuid, int, uuid, text)
from public, anon, authenticated;

grant execute on function
  public.intend_batch(uuid, uuid, uuid, int, uuid, text[]),
  public.record_batch(uuid, uuid, uuid, int, uuid, text),
  public.note_batch(uuid, uuid, uuid, int, uuid, int),
  public.save_waited_pairs(uuid, uuid, uuid, int, text[], jsonb, jsonb, jsonb),
  public.forget_batch(uuid, uuid, uuid, int, uuid, text)
to service_role;

revoke execute on function public.waiting_batches(uuid), public.waiting_progress(uuid)
from public, anon;
grant execute on function public.waiting_batches(uuid), public.waiting_progress(uuid)
to authenticated, service_role;
