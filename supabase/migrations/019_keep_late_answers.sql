-- What a run had asked before it was stopped is paid for, so its answers are still stored.
--
-- A run that a person stops keeps its worker_id. The worker may store the answers in flight, asks
-- nothing more, and clears its id when it leaves. Whoever proceeds waits a while for that, then
-- starts a new attempt without a worker, so that later answers of the old one change nothing. A run
-- that was rescued or has failed has no worker_id: no late answers are accepted.

create or replace function public.stop_run(p_run uuid, p_by text)
returns setof public.deep_memory_training_runs
language plpgsql set search_path = '' as $$
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

create function public.leave_run(p_run uuid, p_user uuid, p_worker uuid, p_attempt int)
returns boolean language sql set search_path = '' as $$
  with left_alone as (
    update public.deep_memory_training_runs set worker_id = null
     where id = p_run and user_id = p_user and worker_id = p_worker and attempt = p_attempt
       and status in ('generating_failed', 'training_failed')
    returning 1)
  select exists (select 1 from left_alone)
$$;

revoke execute on function public.leave_run(uuid, uuid, uuid, int) from public, anon, authenticated;
grant execute on function public.leave_run(uuid, uuid, uuid, int) to service_role;

-- As before; the status that comes back tells the worker whether the run goes on. A question that
-- the generator wrote for another chunk already is left out, the first chunk of a batch has it.
create or replace function public.save_pairs(
  p_run uuid, p_user uuid, p_worker uuid, p_attempt int,
  p_chunks jsonb, p_pairs jsonb, p_usage jsonb)
returns setof public.deep_memory_training_runs
language plpgsql set search_path = '' as $$
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
