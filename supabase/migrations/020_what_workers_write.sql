-- The id of a job in DeepLake Cloud is what a worker got back from there, and the app cancels by it
-- with its own token; a run's settings are what it was started with. A person changes neither.
create function public.check_worker_columns() returns trigger
language plpgsql set search_path = '' as $$
begin
  if current_user in ('authenticated', 'anon') and (
       new.deeplake_job_id is not null
         and (tg_op = 'INSERT' or new.deeplake_job_id is distinct from old.deeplake_job_id)
       or tg_op = 'UPDATE' and new.settings is distinct from old.settings) then
    raise exception 'Only a worker writes the job and the settings of a run'
      using errcode = 'insufficient_privilege';
  end if;
  return new;
end $$;

create trigger check_worker_columns before insert or update on public.deep_memory_training_runs
  for each row execute function public.check_worker_columns();

revoke execute on function public.check_worker_columns() from public, anon, authenticated;
