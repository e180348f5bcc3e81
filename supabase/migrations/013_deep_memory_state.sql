-- What the settings card and every polling client ask for, in one statement instead of two: the
-- settings, the run whose model is active, and the unfinished run that blocks a new one (of several,
-- the newest that was not set aside). With the rights of the caller, so the policies hold.
create function public.deep_memory_state() returns jsonb
language sql stable set search_path = '' as $$
  select jsonb_build_object(
    'settings', (
      select to_jsonb(s) from public.deep_memory_settings s
       where s.user_id = (select auth.uid())),
    'active', (
      select to_jsonb(r) from public.deep_memory_settings s
        join public.deep_memory_training_runs r on r.id = s.active_run_id
       where s.user_id = (select auth.uid())),
    'blocking', (
      select to_jsonb(r) from public.deep_memory_training_runs r
       where r.user_id = (select auth.uid()) and r.status <> 'completed'
       order by r.set_aside, r.created_at desc limit 1))
$$;

revoke execute on function public.deep_memory_state() from public, anon;
grant execute on function public.deep_memory_state() to authenticated, service_role;
