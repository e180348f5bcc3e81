-- Who works on a run, until when, what happened to it, and every move of its status.
--
-- A killed process must not hold a run for ever, a late one must not finish a run that was handed
-- on, and two replicas must not both win. So each move is one guarded statement in a function:
-- it says whether it landed, and only the database's clock counts.
--
--   a person calls     start_run, start_training, proceed_run, stop_run, remove_run
--   only workers call  claim_run, beat_run, begin_generation, save_pairs, finish_generation,
--                      record_training_job, finish_training, fail_run, rescue_runs
--
-- The functions for people run with the rights of the caller, so the policies of 007 decide what
-- they see. The functions for workers are granted to service_role alone, and name the owner.

-- Columns --------------------------------------------------------------------------------------

alter table public.deep_memory_training_runs
  add column worker_id uuid,                       -- null: nobody has claimed this attempt yet
  add column attempt int not null default 1,       -- grows with every proceed: locks a late worker out
  add column lease_expires_at timestamptz,         -- null counts as expired
  add column settings jsonb not null default '{}', -- writer, embedder, model, questions per chunk
  add column usage jsonb not null default '{}',    -- tokens and money so far
  add column set_aside boolean not null default false; -- see the index below

alter table public.deep_memory_settings
  add column active_run_id uuid
    references public.deep_memory_training_runs (id) on delete set null; -- the model that search uses

update public.deep_memory_settings set active_run_id = last_training_run_id;

-- At most one unfinished run per user. Before this migration a user could have several: the newest
-- takes the place, the older ones are set aside. They still block a new run until someone finishes
-- or removes them; none is lost.
update public.deep_memory_training_runs r
   set set_aside = true
 where status <> 'completed'
   and exists (select 1 from public.deep_memory_training_runs newer
                where newer.user_id = r.user_id and newer.status <> 'completed'
                  and (newer.created_at, newer.id) > (r.created_at, r.id));

create unique index one_unfinished_run_per_user
  on public.deep_memory_training_runs (user_id) where status <> 'completed' and not set_aside;

create index idx_training_runs_user_newest
  on public.deep_memory_training_runs (user_id, created_at desc, id);

-- Chunks of a run that were asked, one row each: what makes a batch safe to write twice, and what
-- names the chunks that yielded nothing.
create table public.deep_memory_run_chunks (
  training_run_id uuid not null
    references public.deep_memory_training_runs (id) on delete cascade,
  chunk_id text not null,
  problem text, -- why it yielded nothing, or less than asked
  primary key (training_run_id, chunk_id)
);

-- One question stands once in a run, whatever its case and spacing.
delete from public.deep_memory_training_pairs p
 using public.deep_memory_training_pairs earlier
 where p.training_run_id = earlier.training_run_id
   and md5(lower(regexp_replace(btrim(p.question_text), '\s+', ' ', 'g')))
     = md5(lower(regexp_replace(btrim(earlier.question_text), '\s+', ' ', 'g')))
   and (earlier.created_at, earlier.id) < (p.created_at, p.id);

create unique index one_question_per_run on public.deep_memory_training_pairs
  (training_run_id, md5(lower(regexp_replace(btrim(question_text), '\s+', ' ', 'g'))));

create index idx_training_pairs_run_chunk
  on public.deep_memory_training_pairs (training_run_id, chunk_id);

-- The timeline of a run.
create table public.deep_memory_run_events (
  id bigint generated always as identity primary key,
  training_run_id uuid not null
    references public.deep_memory_training_runs (id) on delete cascade,
  at timestamptz not null default now(),
  phase text not null check (phase in ('generation', 'review', 'training')),
  kind text not null,
  message text not null,
  counts jsonb not null default '{}'
);
create index idx_run_events_run on public.deep_memory_run_events (training_run_id, id);

-- When the sweep last looked, one row. A lease only counts while somebody could have extended it:
-- see rescue_runs().
create table public.deep_memory_watch (
  is_the_row boolean primary key default true check (is_the_row),
  looked_at timestamptz not null default '-infinity',
  patient_until timestamptz not null default '-infinity'
);
insert into public.deep_memory_watch default values;

-- Policies -------------------------------------------------------------------------------------

-- Only workers look at the watch: no policy, and no grant to anyone else.
alter table public.deep_memory_watch enable row level security;
revoke all on public.deep_memory_watch from anon, authenticated;

-- What a user's settings point at is a run of that user. Restrictive: on top of the policy of 007.
create policy "Settings point at the user's own runs"
  on public.deep_memory_settings as restrictive for all to authenticated
  using (true)
  with check (
    (last_training_run_id is null or last_training_run_id in (
      select id from public.deep_memory_training_runs where user_id = (select auth.uid())))
    and (active_run_id is null or active_run_id in (
      select id from public.deep_memory_training_runs where user_id = (select auth.uid()))));

alter table public.deep_memory_run_chunks enable row level security;
create policy "Users can manage chunks via run ownership"
  on public.deep_memory_run_chunks for all to authenticated
  using (training_run_id in (
    select id from public.deep_memory_training_runs where user_id = (select auth.uid())))
  with check (training_run_id in (
    select id from public.deep_memory_training_runs where user_id = (select auth.uid())));

alter table public.deep_memory_run_events enable row level security;
create policy "Users can manage events via run ownership"
  on public.deep_memory_run_events for all to authenticated
  using (training_run_id in (
    select id from public.deep_memory_training_runs where user_id = (select auth.uid())))
  with check (training_run_id in (
    select id from public.deep_memory_training_runs where user_id = (select auth.uid())));

-- Pairs are edited in review and at no other time. Restrictive: on top of the policy of 007.
create policy "Pairs are added while their run is in review"
  on public.deep_memory_training_pairs as restrictive for insert to authenticated
  with check (training_run_id in (
    select id from public.deep_memory_training_runs where status = 'generated'));
create policy "Pairs are edited while their run is in review"
  on public.deep_memory_training_pairs as restrictive for update to authenticated
  using (training_run_id in (
    select id from public.deep_memory_training_runs where status = 'generated'));
create policy "Pairs are dropped while their run is in review"
  on public.deep_memory_training_pairs as restrictive for delete to authenticated
  using (training_run_id in (
    select id from public.deep_memory_training_runs where status = 'generated'));

-- Rules that hold whoever writes ---------------------------------------------------------------

-- Every allowed move, and whether a person may ask for it. services/runs/states.py has the same list.
create function public.run_moves()
returns table (from_status text, to_status text, by_person boolean)
language sql immutable as $$
  values ('generating', 'generated', false),
         ('generating', 'generating_failed', true),   -- stop
         ('generated', 'training', true),             -- start training
         ('generated', 'generating_failed', true),    -- discard
         ('training', 'completed', false),
         ('training', 'training_failed', true),       -- stop
         ('generating_failed', 'generating', true),   -- proceed
         ('training_failed', 'training', true)        -- proceed
$$;

create function public.check_run_move() returns trigger
language plpgsql set search_path = '' as $$
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

create trigger check_run_move before insert or update on public.deep_memory_training_runs
  for each row execute function public.check_run_move();

create function public.check_run_removal() returns trigger
language plpgsql set search_path = '' as $$
begin
  -- Depth 1 is a direct delete; deeper is the cascade of a deleted account.
  if pg_catalog.pg_trigger_depth() = 1
     and old.status not in ('generating_failed', 'training_failed') then
    raise exception 'Only a failed run can be removed, not one that is %', old.status
      using errcode = 'check_violation';
  end if;
  return old;
end $$;

create trigger check_run_removal before delete on public.deep_memory_training_runs
  for each row execute function public.check_run_removal();

-- pair_count is what the table holds, whoever adds or drops pairs.
create function public.count_pairs() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  update public.deep_memory_training_runs r
     set pair_count = r.pair_count + case when tg_op = 'INSERT' then c.pairs else -c.pairs end
    from (select training_run_id, count(*)::int as pairs from changed group by 1) c
   where r.id = c.training_run_id;
  return null;
end $$;

create trigger count_added_pairs after insert on public.deep_memory_training_pairs
  referencing new table as changed for each statement execute function public.count_pairs();
create trigger count_dropped_pairs after delete on public.deep_memory_training_pairs
  referencing old table as changed for each statement execute function public.count_pairs();

update public.deep_memory_training_runs r
   set pair_count = (select count(*) from public.deep_memory_training_pairs p
                      where p.training_run_id = r.id);

-- Small pieces ---------------------------------------------------------------------------------

-- Two missed beats are forgiven; and with the sweep's 10 seconds, a dead worker is found within 40.
create function public.lease_end() returns timestamptz
language sql stable as $$ select now() + interval '28 seconds' $$;

create function public.run_phase(p_status text) returns text
language sql immutable as $$
  select case when p_status in ('generating', 'generating_failed') then 'generation'
              when p_status = 'generated' then 'review' else 'training' end
$$;

create function public.log_run_event(
  p_run uuid, p_phase text, p_kind text, p_message text, p_counts jsonb default '{}')
returns void language sql set search_path = '' as $$
  insert into public.deep_memory_run_events (training_run_id, phase, kind, message, counts)
  values (p_run, p_phase, p_kind, p_message, p_counts)
$$;

-- Moves that a person asks for -----------------------------------------------------------------
-- No row back: the run is not there, is not the caller's, or is in another status by now.

-- No row back: an unfinished run blocks. The lease runs from here, so that a process that dies
-- before it claims the run is noticed too.
create function public.start_run(p_total_chunks int, p_settings jsonb)
returns setof public.deep_memory_training_runs
language plpgsql set search_path = '' as $$
declare
  started public.deep_memory_training_runs;
begin
  if exists (select 1 from public.deep_memory_training_runs
              where user_id = auth.uid() and status <> 'completed' and set_aside) then
    return;
  end if;
  insert into public.deep_memory_training_runs
    (user_id, status, total_chunks, settings, lease_expires_at)
  values (auth.uid(), 'generating', p_total_chunks, p_settings, public.lease_end())
  on conflict (user_id) where status <> 'completed' and not set_aside do nothing
  returning * into started;
  if started.id is not null then
    perform public.log_run_event(started.id, 'generation', 'started', 'Generation started',
      jsonb_build_object('total_chunks', p_total_chunks));
    return next started;
  end if;
end $$;

create function public.start_training(p_run uuid)
returns setof public.deep_memory_training_runs
language plpgsql set search_path = '' as $$
declare
  moved public.deep_memory_training_runs;
begin
  update public.deep_memory_training_runs
     set status = 'training', attempt = attempt + 1, worker_id = null,
         lease_expires_at = public.lease_end(), error_message = null, deeplake_job_id = null,
         set_aside = false
   where id = p_run and user_id = auth.uid() and status = 'generated'
  returning * into moved;
  if moved.id is not null then
    perform public.log_run_event(p_run, 'training', 'started', 'Training started',
      jsonb_build_object('pairs', moved.pair_count));
    return next moved;
  end if;
end $$;

-- Back to the phase that failed. The new attempt locks out whoever worked on it before. Chunks that
-- yielded no stored pair are forgotten, so that they are asked again.
create function public.proceed_run(p_run uuid)
returns setof public.deep_memory_training_runs
language plpgsql set search_path = '' as $$
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

-- Ends an active run, or discards one in review. Its worker learns of it at its next write or look.
create function public.stop_run(p_run uuid, p_by text)
returns setof public.deep_memory_training_runs
language plpgsql set search_path = '' as $$
declare
  moved public.deep_memory_training_runs;
begin
  update public.deep_memory_training_runs
     set status = case status when 'training' then 'training_failed' else 'generating_failed' end,
         error_message = case status when 'generated' then 'Discarded in review by ' || p_by
                                     else 'Stopped by ' || p_by end,
         worker_id = null, lease_expires_at = null
   where id = p_run and user_id = auth.uid() and status in ('generating', 'generated', 'training')
  returning * into moved;
  if moved.id is not null then
    perform public.log_run_event(p_run, public.run_phase(moved.status), 'stopped',
      moved.error_message,
      jsonb_build_object('processed_chunks', moved.processed_chunks, 'pairs', moved.pair_count));
    return next moved;
  end if;
end $$;

-- Deletes a failed run and, by the cascade, its pairs. Returns how many pairs went; null: not removed.
create function public.remove_run(p_run uuid) returns int
language plpgsql set search_path = '' as $$
declare
  pairs int;
begin
  delete from public.deep_memory_training_runs
   where id = p_run and user_id = auth.uid() and status in ('generating_failed', 'training_failed')
  returning pair_count into pairs;
  return pairs;
end $$;

-- Moves that only a worker makes ---------------------------------------------------------------
-- Each names the owner, the worker and the attempt. False or no row: this attempt no longer holds
-- the run, and the worker stops.

create function public.claim_run(p_run uuid, p_user uuid, p_worker uuid, p_attempt int)
returns setof public.deep_memory_training_runs
language sql set search_path = '' as $$
  update public.deep_memory_training_runs
     set worker_id = p_worker, lease_expires_at = public.lease_end()
   where id = p_run and user_id = p_user and attempt = p_attempt
     and status in ('generating', 'training')
     and (worker_id is null or worker_id = p_worker) -- its own claim, sent twice
  returning *
$$;

create function public.beat_run(p_run uuid, p_user uuid, p_worker uuid, p_attempt int)
returns boolean language sql set search_path = '' as $$
  with beaten as (
    update public.deep_memory_training_runs set lease_expires_at = public.lease_end()
     where id = p_run and user_id = p_user and worker_id = p_worker and attempt = p_attempt
       and status in ('generating', 'training')
    returning 1)
  select exists (select 1 from beaten)
$$;

-- Locks the run for the rest of the statement's transaction, if this attempt still holds it.
create function public.hold_run(
  p_run uuid, p_user uuid, p_worker uuid, p_attempt int, p_status text)
returns boolean language plpgsql set search_path = '' as $$
begin
  perform 1 from public.deep_memory_training_runs
    where id = p_run and user_id = p_user and worker_id = p_worker and attempt = p_attempt
      and status = p_status
    for update;
  return found;
end $$;

-- Fits the run to the knowledge base as it is now: pairs of chunks that are gone go, the total is
-- set anew, and the timeline says so. False: the run is no longer this attempt's.
create function public.begin_generation(
  p_run uuid, p_user uuid, p_worker uuid, p_attempt int, p_chunk_ids text[])
returns boolean language plpgsql set search_path = '' as $$
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

-- A batch of finished chunks: their pairs, the progress and the usage are one write, and sending
-- it twice changes nothing. p_chunks: [{"chunk_id", "problem"}];
-- p_pairs: [{"chunk_id", "chunk_preview", "question_text", "relevance_score"}].
create function public.save_pairs(
  p_run uuid, p_user uuid, p_worker uuid, p_attempt int,
  p_chunks jsonb, p_pairs jsonb, p_usage jsonb)
returns setof public.deep_memory_training_runs
language plpgsql set search_path = '' as $$
declare
  finished text[];
begin
  if not public.hold_run(p_run, p_user, p_worker, p_attempt, 'generating') then
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
  select p_run, p.chunk_id, p.chunk_preview, p.question_text, p.relevance_score
    from jsonb_to_recordset(p_pairs)
      as p (chunk_id text, chunk_preview text, question_text text, relevance_score float)
   where p.chunk_id = any (finished)
  on conflict do nothing;

  -- All its questions stand in the run already, under other chunks.
  update public.deep_memory_run_chunks c set problem = 'only duplicate questions'
   where c.training_run_id = p_run and c.chunk_id = any (finished) and c.problem is null
     and not exists (select 1 from public.deep_memory_training_pairs p
                      where p.training_run_id = p_run and p.chunk_id = c.chunk_id);

  return query
  update public.deep_memory_training_runs
     set processed_chunks = processed_chunks + coalesce(cardinality(finished), 0),
         usage = p_usage, lease_expires_at = public.lease_end()
   where id = p_run
  returning *;
end $$;

create function public.finish_generation(p_run uuid, p_user uuid, p_worker uuid, p_attempt int)
returns boolean language plpgsql set search_path = '' as $$
declare
  finished public.deep_memory_training_runs;
begin
  update public.deep_memory_training_runs
     set status = 'generated', worker_id = null, lease_expires_at = null
   where id = p_run and user_id = p_user and worker_id = p_worker and attempt = p_attempt
     and status = 'generating'
  returning * into finished;
  if finished.id is null then
    return false;
  end if;
  perform public.log_run_event(p_run, 'generation', 'finished', 'Generation finished',
    jsonb_build_object('processed_chunks', finished.processed_chunks, 'pairs', finished.pair_count));
  return true;
end $$;

create function public.record_training_job(
  p_run uuid, p_user uuid, p_worker uuid, p_attempt int, p_job text)
returns boolean language plpgsql set search_path = '' as $$
begin
  if not public.hold_run(p_run, p_user, p_worker, p_attempt, 'training') then
    return false;
  end if;
  update public.deep_memory_training_runs set deeplake_job_id = p_job where id = p_run;
  perform public.log_run_event(p_run, 'training', 'submitted', 'Submitted to DeepLake Cloud');
  return true;
end $$;

-- What a worker says while it trains, for the screens to show: share done, in words.
create function public.note_training(
  p_run uuid, p_user uuid, p_worker uuid, p_attempt int, p_progress jsonb)
returns boolean language plpgsql set search_path = '' as $$
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

-- Completes the run and points the settings at it, in one transaction. p_activate says whether
-- search takes the new model: a worse one never switches itself on.
create function public.finish_training(
  p_run uuid, p_user uuid, p_worker uuid, p_attempt int, p_metrics jsonb, p_activate boolean)
returns boolean language plpgsql set search_path = '' as $$
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

create function public.fail_run(
  p_run uuid, p_user uuid, p_worker uuid, p_attempt int, p_message text)
returns boolean language plpgsql set search_path = '' as $$
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

-- Fails, in the open, every run whose lease ran out.
--
-- A gap between two looks means that the database was away, or nobody was there to look: a crash,
-- an outage, a laptop that slept. Workers could not beat then, so they get 20 seconds to do so
-- before their leases count again.
create function public.rescue_runs() returns setof public.deep_memory_training_runs
language plpgsql set search_path = '' as $$
declare
  patience timestamptz;
  rescued public.deep_memory_training_runs;
begin
  update public.deep_memory_watch
     set patient_until = case when looked_at < now() - interval '15 seconds'
                              then now() + interval '20 seconds' else patient_until end,
         looked_at = now()
   where is_the_row -- some hosts refuse an update without a condition
  returning patient_until into patience;
  if now() < patience then
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

-- Reading --------------------------------------------------------------------------------------

-- How a run's chunks fared: [{"problem", "chunks"}], for those that yielded nothing or less.
create function public.run_problems(p_run uuid)
returns table (problem text, chunks bigint) language sql stable set search_path = '' as $$
  select problem, count(*) from public.deep_memory_run_chunks
   where training_run_id = p_run and problem is not null
   group by problem order by count(*) desc, problem
$$;

-- Who may call what ----------------------------------------------------------------------------

revoke execute on function
  public.claim_run(uuid, uuid, uuid, int),
  public.beat_run(uuid, uuid, uuid, int),
  public.hold_run(uuid, uuid, uuid, int, text),
  public.begin_generation(uuid, uuid, uuid, int, text[]),
  public.save_pairs(uuid, uuid, uuid, int, jsonb, jsonb, jsonb),
  public.finish_generation(uuid, uuid, uuid, int),
  public.record_training_job(uuid, uuid, uuid, int, text),
  public.note_training(uuid, uuid, uuid, int, jsonb),
  public.finish_training(uuid, uuid, uuid, int, jsonb, boolean),
  public.fail_run(uuid, uuid, uuid, int, text),
  public.rescue_runs()
from public, anon, authenticated;

grant execute on function
  public.claim_run(uuid, uuid, uuid, int),
  public.beat_run(uuid, uuid, uuid, int),
  public.hold_run(uuid, uuid, uuid, int, text),
  public.begin_generation(uuid, uuid, uuid, int, text[]),
  public.save_pairs(uuid, uuid, uuid, int, jsonb, jsonb, jsonb),
  public.finish_generation(uuid, uuid, uuid, int),
  public.record_training_job(uuid, uuid, uuid, int, text),
  public.note_training(uuid, uuid, uuid, int, jsonb),
  public.finish_training(uuid, uuid, uuid, int, jsonb, boolean),
  public.fail_run(uuid, uuid, uuid, int, text),
  public.rescue_runs()
to service_role;

revoke execute on function
  public.start_run(int, jsonb), public.start_training(uuid), public.proceed_run(uuid),
  public.stop_run(uuid, text), public.remove_run(uuid), public.run_problems(uuid),
  public.log_run_event(uuid, text, text, text, jsonb)
from public, anon;

grant execute on function
  public.start_run(int, jsonb), public.start_training(uuid), public.proceed_run(uuid),
  public.stop_run(uuid, text), public.remove_run(uuid), public.run_problems(uuid),
  public.log_run_event(uuid, text, text, text, jsonb)
to authenticated, service_role;
