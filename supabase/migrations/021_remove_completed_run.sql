-- A person may remove a completed run too, unless search uses its model: otherwise its pairs, their
-- previews of documents and its figures would stay forever. remove_run() keeps the rule of the API
-- contract: failed runs only.

-- Whether a run may be removed, whoever asks. The run whose model DeepLake Cloud holds can only be
-- removed after the other cloud runs: otherwise one of them would be taken for the model's run.
create function public.may_remove_run(p_run public.deep_memory_training_runs) returns boolean
language sql stable set search_path = '' as $$
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

revoke execute on function public.may_remove_run(public.deep_memory_training_runs)
from public, anon;
grant execute on function public.may_remove_run(public.deep_memory_training_runs)
to authenticated, service_role;

create or replace function public.check_run_removal() returns trigger
language plpgsql set search_path = '' as $$
begin
  -- Depth 1 is a direct delete; deeper is the cascade of a deleted account.
  if pg_catalog.pg_trigger_depth() = 1 and not public.may_remove_run(old) then
    raise exception 'This run can not be removed: it is % or in use', old.status
      using errcode = 'check_violation';
  end if;
  return old;
end $$;

-- It kept a run that was the last to be trained from being removed.
alter table public.deep_memory_settings
  drop constraint deep_memory_settings_last_training_run_id_fkey,
  add constraint deep_memory_settings_last_training_run_id_fkey
    foreign key (last_training_run_id)
    references public.deep_memory_training_runs (id) on delete set null;

-- Deletes a completed run and, by the cascade, its pairs, chunks, batches and timeline. Returns how
-- many pairs went; null: not removed. The last training is then the newest that is left.
create function public.remove_completed_run(p_run uuid) returns int
language plpgsql set search_path = '' as $$
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

revoke execute on function public.remove_completed_run(uuid) from public, anon;
grant execute on function public.remove_completed_run(uuid) to authenticated, service_role;
