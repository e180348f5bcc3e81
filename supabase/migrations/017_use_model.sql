-- Switching and rolling back models, guarded here: search uses the model of a completed run, and
-- one that still exists. DeepLake Cloud holds one model for a store, so a training there replaces
-- the one before it, whether or not its result was better.

create index idx_training_runs_model_in_cloud
  on public.deep_memory_training_runs (user_id, completed_at desc)
  where status = 'completed' and metrics ->> 'trainer' = 'cloud';

-- The run whose model DeepLake Cloud holds for the caller's store.
create function public.model_in_cloud() returns uuid
language sql stable set search_path = '' as $$
  select id from public.deep_memory_training_runs
   where user_id = (select auth.uid())
     and status = 'completed' and metrics ->> 'trainer' = 'cloud'
   order by completed_at desc limit 1
$$;

-- Makes search use the model of a run, in one step. No row back: the run is not there, not the
-- caller's, not completed, or a later training in the cloud has replaced its model.
create function public.use_model(p_run uuid)
returns setof public.deep_memory_training_runs
language plpgsql set search_path = '' as $$
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

revoke execute on function public.model_in_cloud() from public, anon;
revoke execute on function public.use_model(uuid) from public, anon;
grant execute on function public.model_in_cloud() to authenticated, service_role;
grant execute on function public.use_model(uuid) to authenticated, service_role;

-- The same rule for whoever writes the settings past use_model.
update public.deep_memory_settings set active_run_id = null
 where active_run_id in (
   select id from public.deep_memory_training_runs where status <> 'completed');

alter policy "Settings point at the user's own runs" on public.deep_memory_settings
  with check (
    (last_training_run_id is null or last_training_run_id in (
      select id from public.deep_memory_training_runs where user_id = (select auth.uid())))
    and (active_run_id is null or active_run_id in (
      select id from public.deep_memory_training_runs
       where user_id = (select auth.uid()) and status = 'completed')));

-- As in 013, and a model that was replaced in the cloud is active no more: what would answer is the
-- one that replaced it, and a worse model never switches itself on.
create or replace function public.deep_memory_state() returns jsonb
language sql stable set search_path = '' as $$
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
