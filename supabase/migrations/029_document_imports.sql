-- An import of documents was a thread's memory: a kill in the middle of 40 files lost all 40 without
-- a word. Now it is a row, with a row for each file, and a lease as a run has it: what was stored
-- stays, the rest is known, and a person goes on with it. The files themselves are kept by the app
-- until they are settled.

create table public.document_imports (
  id uuid primary key, -- the app makes it, because the files are kept under it before the row is
  user_id uuid not null references auth.users (id) on delete cascade,
  status text not null check (status in ('adding', 'stopped', 'interrupted', 'done')),
  attempt int not null default 1, -- each Go on raises it, which locks out the previous worker
  worker_id uuid,
  lease_expires_at timestamptz, -- while it is adding
  progress jsonb not null default '{}', -- where the worker is: file, share, chunks, chunks_total
  message text, -- why it was stopped or interrupted
  acknowledged boolean not null default false, -- the person has read its report
  created_at timestamptz not null default now(),
  finished_at timestamptz
);
create unique index one_unfinished_import_per_user
  on public.document_imports (user_id) where status <> 'done';
create index idx_document_imports_user on public.document_imports (user_id, created_at desc);

create table public.document_import_files (
  import_id uuid not null references public.document_imports (id) on delete cascade,
  position int not null, -- of the file that was given, from 0
  member int not null default 0, -- of the documents in it, where it is a zip or a mail
  name text not null,
  bytes bigint not null default 0,
  state text not null default 'waiting'
    check (state in ('waiting', 'added', 'same', 'refused', 'dropped')),
  document_id text,
  chunk_count int not null default 0,
  notes jsonb not null default '[]', -- what was left out, or is worth knowing
  message text, -- why it was not added, or under which other name
  next_step text,
  primary key (import_id, position, member)
);

alter table public.document_imports enable row level security;
alter table public.document_import_files enable row level security;
create policy "Users can see their own imports" on public.document_imports
  for select to authenticated using ((select auth.uid()) = user_id);
create policy "Users can see the files of their own imports" on public.document_import_files
  for select to authenticated using (exists (
    select 1 from public.document_imports i where i.id = import_id and i.user_id = (select auth.uid())));
-- Everything is written by the functions below.
revoke all on public.document_imports, public.document_import_files from anon, authenticated;
grant select on public.document_imports, public.document_import_files to authenticated;

-- For the page of a document: the questions about its chunks, whatever run they are of.
create index idx_training_pairs_chunk on public.deep_memory_training_pairs (chunk_id);

-- What a person asks for. Each returns the row that it moved, and none if it moved nothing.

create function public.start_import(p_import uuid, p_files jsonb)
returns setof public.document_imports language plpgsql security definer set search_path = '' as $$
declare
  started public.document_imports;
begin
  delete from public.document_imports
   where user_id = auth.uid() and status = 'done' and finished_at < now() - interval '7 days';
  insert into public.document_imports (id, user_id, status, lease_expires_at)
  values (p_import, auth.uid(), 'adding', public.lease_end())
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

create function public.stop_import(p_import uuid)
returns setof public.document_imports language sql security definer set search_path = '' as $$
  update public.document_imports
     set status = 'stopped', message = 'You stopped it.', lease_expires_at = null
   where id = p_import and user_id = auth.uid() and status = 'adding'
  returning *
$$;

create function public.go_on_with_import(p_import uuid)
returns setof public.document_imports language sql security definer set search_path = '' as $$
  update public.document_imports
     set status = 'adding', attempt = attempt + 1, worker_id = null, message = null,
         lease_expires_at = public.lease_end()
   where id = p_import and user_id = auth.uid() and status in ('stopped', 'interrupted')
  returning *
$$;

create function public.give_up_import(p_import uuid)
returns setof public.document_imports language plpgsql security definer set search_path = '' as $$
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

-- With p_and_older, the reports of earlier imports count as read, too: a screen shows one at a time.
create function public.acknowledge_import(p_import uuid, p_and_older boolean)
returns setof public.document_imports language sql security definer set search_path = '' as $$
  update public.document_imports i set acknowledged = true
    from public.document_imports the
   where the.id = p_import and the.user_id = auth.uid() and the.status = 'done'
     and i.user_id = the.user_id and i.status = 'done'
     and (i.id = the.id or p_and_older and i.created_at <= the.created_at)
  returning i.*
$$;

-- The import by this id or, without one, the last whose report was not read; with its files counted
-- by state. Row-level security shows a person their own.
create function public.import_state(p_import uuid default null)
returns jsonb language sql stable set search_path = '' as $$
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

-- What its worker writes: only while it holds the lease.

create function public.claim_import(p_import uuid, p_user uuid, p_worker uuid, p_attempt int)
returns setof public.document_imports language sql set search_path = '' as $$
  update public.document_imports
     set worker_id = p_worker, lease_expires_at = public.lease_end()
   where id = p_import and user_id = p_user and attempt = p_attempt and status = 'adding'
     and (worker_id is null or worker_id = p_worker) -- its own claim, sent twice
  returning *
$$;

create function public.hold_import(p_import uuid, p_user uuid, p_worker uuid, p_attempt int)
returns boolean language sql set search_path = '' as $$
  with held as (
    update public.document_imports set lease_expires_at = public.lease_end()
     where id = p_import and user_id = p_user and worker_id = p_worker and attempt = p_attempt
       and status = 'adding'
    returning 1)
  select exists (select from held)
$$;

create function public.heartbeat_import(
  p_import uuid, p_user uuid, p_worker uuid, p_attempt int, p_progress jsonb)
returns boolean language plpgsql set search_path = '' as $$
begin
  if not public.hold_import(p_import, p_user, p_worker, p_attempt) then
    return false;
  end if;
  update public.document_imports set progress = p_progress where id = p_import;
  return true;
end $$;

-- Says what became of files. Safe to send twice: a file that is settled stays as it is.
create function public.settle_import_files(
  p_import uuid, p_user uuid, p_worker uuid, p_attempt int, p_outcomes jsonb)
returns boolean language plpgsql set search_path = '' as $$
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

create function public.finish_import(p_import uuid, p_user uuid, p_worker uuid, p_attempt int)
returns boolean language sql set search_path = '' as $$
  with done as (
    update public.document_imports
       set status = 'done', finished_at = now(), lease_expires_at = null
     where id = p_import and user_id = p_user and worker_id = p_worker and attempt = p_attempt
       and status = 'adding'
    returning 1)
  select exists (select from done)
$$;

create function public.interrupt_import(
  p_import uuid, p_user uuid, p_worker uuid, p_attempt int, p_message text)
returns boolean language sql set search_path = '' as $$
  with interrupted as (
    update public.document_imports
       set status = 'interrupted', message = p_message, lease_expires_at = null
     where id = p_import and user_id = p_user and worker_id = p_worker and attempt = p_attempt
       and status = 'adding'
    returning 1)
  select exists (select from interrupted)
$$;

-- Hands back imports whose worker is gone. After an outage it waits as rescue_runs() does, which the
-- same sweep calls first.
create function public.rescue_imports()
returns setof public.document_imports language sql set search_path = '' as $$
  update public.document_imports
     set status = 'interrupted', worker_id = null, lease_expires_at = null,
         message = 'The app stopped while documents were being added.'
   where status = 'adding' and (lease_expires_at is null or lease_expires_at < now())
     and now() >= (select coalesce(max(grace_until), now()) from public.deep_memory_watch)
  returning *
$$;

revoke execute on function
  public.start_import(uuid, jsonb), public.stop_import(uuid), public.go_on_with_import(uuid),
  public.give_up_import(uuid), public.acknowledge_import(uuid, boolean), public.import_state(uuid),
  public.claim_import(uuid, uuid, uuid, int), public.hold_import(uuid, uuid, uuid, int),
  public.heartbeat_import(uuid, uuid, uuid, int, jsonb),
  public.settle_import_files(uuid, uuid, uuid, int, jsonb),
  public.finish_import(uuid, uuid, uuid, int),
  public.interrupt_import(uuid, uuid, uuid, int, text), public.rescue_imports()
  from public, anon, authenticated;
grant execute on function
  public.start_import(uuid, jsonb), public.stop_import(uuid), public.go_on_with_import(uuid),
  public.give_up_import(uuid), public.acknowledge_import(uuid, boolean), public.import_state(uuid)
  to authenticated;
grant execute on function
  public.import_state(uuid), public.claim_import(uuid, uuid, uuid, int),
  public.hold_import(uuid, uuid, uuid, int),
  public.heartbeat_import(uuid, uuid, uuid, int, jsonb),
  public.settle_import_files(uuid, uuid, uuid, int, jsonb),
  public.finish_import(uuid, uuid, uuid, int),
  public.interrupt_import(uuid, uuid, uuid, int, text), public.rescue_imports()
  to service_role;
