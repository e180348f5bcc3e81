-- A file with the name of a stored document but another text was always stored beside it, as
-- "name (2)". An import may now replace the earlier text instead: `replace` is what the person chose
-- for all its files, and a file that took the place of another is 'replaced', not 'added'.
-- begin_import succeeds start_import, which replicas of the previous version call for the minutes of a
-- deploy; a later migration drops it.

alter table public.document_imports add column replace boolean not null default false;

alter table public.document_import_files drop constraint document_import_files_state_check;
alter table public.document_import_files add constraint document_import_files_state_check
  check (state in ('waiting', 'added', 'replaced', 'same', 'refused', 'dropped'));

create function public.begin_import(p_import uuid, p_files jsonb, p_replace boolean)
returns setof public.document_imports language plpgsql security definer set search_path = '' as $$
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

create or replace function public.start_import(p_import uuid, p_files jsonb)
returns setof public.document_imports language sql security definer set search_path = '' as $$
  select * from public.begin_import(p_import, p_files, false)
$$;

-- For a worker that replaces documents: how many pairs of its person's runs each chunk has, as
-- {"pairs": {chunk id: count}}, or null if the worker no longer holds the import.
create function public.pairs_by_chunk(p_import uuid, p_user uuid, p_worker uuid, p_attempt int)
returns jsonb language plpgsql set search_path = '' as $$
begin
  if not public.hold_import(p_import, p_user, p_worker, p_attempt) then
    return null;
  end if;
  return jsonb_build_object('pairs', (
    select coalesce(jsonb_object_agg(c.chunk_id, c.pairs), '{}') from (
      select p.chunk_id, count(*) as pairs from public.deep_memory_training_pairs p
        join public.deep_memory_training_runs r on r.id = p.training_run_id
       where r.user_id = p_user group by p.chunk_id) c));
end $$;

revoke execute on function
  public.begin_import(uuid, jsonb, boolean), public.pairs_by_chunk(uuid, uuid, uuid, int)
  from public, anon, authenticated;
grant execute on function public.begin_import(uuid, jsonb, boolean) to authenticated;
grant execute on function public.pairs_by_chunk(uuid, uuid, uuid, int) to service_role;
