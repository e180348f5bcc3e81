-- DeepLake Cloud may refuse to cancel a training, or end one while no worker watches: its job then
-- outlives the run that submitted it, and the last job to complete provides the model used there.
--
-- So each submitted job is recorded here, beside its run, until its outcome is known: its row is
-- deleted when the job is gone or has failed, and all of a person's rows when a run completes with
-- what it trained. A job that completed for no run stays: the model there belongs to no run.

create table public.deep_memory_cloud_jobs (
  user_id uuid not null references auth.users (id) on delete cascade,
  job text not null,                        -- as in deeplake_job_id of the run
  training_run_id uuid not null,            -- no reference: the run may be removed
  completed boolean not null default false, -- false: it may still be working
  created_at timestamptz not null default now(),
  primary key (user_id, job)
);

alter table public.deep_memory_cloud_jobs enable row level security;
create policy "Users can see their own jobs"
  on public.deep_memory_cloud_jobs for select to authenticated
  using (user_id = (select auth.uid()));

insert into public.deep_memory_cloud_jobs (user_id, job, training_run_id)
select user_id, deeplake_job_id, id from public.deep_memory_training_runs
 where status in ('training', 'training_failed') and deeplake_job_id is not null
on conflict do nothing;

-- As in 014. A job that has an id is there whatever became of the run meanwhile, so it is written
-- down all the same, and with a run that was stopped too. Whether the run goes on is the answer.
create or replace function public.record_training_job(
  p_run uuid, p_user uuid, p_worker uuid, p_attempt int, p_job text)
returns boolean language plpgsql set search_path = '' as $$
declare
  held boolean := public.hold_run(p_run, p_user, p_worker, p_attempt, 'training');
  is_there boolean := p_job not like 'submitting:%';
begin
  if not held and not is_there then
    return false;
  end if;
  if is_there then
    delete from public.deep_memory_cloud_jobs
     where user_id = p_user and training_run_id = p_run and job like 'submitting:%';
  end if;
  insert into public.deep_memory_cloud_jobs (user_id, job, training_run_id)
  values (p_user, p_job, p_run) on conflict do nothing;
  if held or public.hold_run(p_run, p_user, p_worker, p_attempt, 'training_failed') then
    update public.deep_memory_training_runs set deeplake_job_id = p_job where id = p_run;
  end if;
  if held and is_there then
    perform public.log_run_event(p_run, 'training', 'submitted',
      'Submitted to DeepLake Cloud as job ' || p_job);
  end if;
  return held;
end $$;

-- What DeepLake Cloud says of a job of the caller: completed, or else gone. A list of jobs may lag
-- behind, so a job that was submitted a moment ago is not taken for gone.
create function public.settle_cloud_job(p_job text, p_completed boolean)
returns void language plpgsql security definer set search_path = '' as $$
begin
  if p_completed then
    update public.deep_memory_cloud_jobs set completed = true
     where user_id = (select auth.uid()) and job = p_job;
  else
    delete from public.deep_memory_cloud_jobs
     where user_id = (select auth.uid()) and job = p_job and not completed
       and created_at < now() - interval '1 minute';
  end if;
end $$;

-- A run that completes has measured the model that is there now.
create function public.account_for_cloud_jobs() returns trigger
language plpgsql set search_path = '' as $$
begin
  delete from public.deep_memory_cloud_jobs where user_id = new.user_id;
  return null;
end $$;

create trigger account_for_cloud_jobs after update of status on public.deep_memory_training_runs
  for each row when (new.status = 'completed' and old.status <> new.status
                     and new.metrics ->> 'trainer' = 'cloud')
  execute function public.account_for_cloud_jobs();

-- As in 017; none, when a job has completed for no run since.
create or replace function public.model_in_cloud() returns uuid
language sql stable set search_path = '' as $$
  select id from public.deep_memory_training_runs
   where user_id = (select auth.uid())
     and status = 'completed' and metrics ->> 'trainer' = 'cloud'
     and not exists (select from public.deep_memory_cloud_jobs
                      where user_id = (select auth.uid()) and completed)
   order by completed_at desc limit 1
$$;

-- Says in the row and the timeline of a failed run, once, that its job could not be cancelled.
create function public.say_job_goes_on(p_run uuid, p_message text) returns void
language plpgsql set search_path = '' as $$
begin
  update public.deep_memory_training_runs
     set error_message = concat_ws('. ', rtrim(error_message, '.'), p_message)
   where id = p_run and status = 'training_failed'
     and position(p_message in coalesce(error_message, '')) = 0;
  if found then
    perform public.log_run_event(p_run, 'training', 'goes_on', p_message);
  end if;
end $$;

revoke execute on function
  public.settle_cloud_job(text, boolean), public.account_for_cloud_jobs(),
  public.say_job_goes_on(uuid, text)
from public, anon, authenticated;

grant execute on function
  public.settle_cloud_job(text, boolean), public.say_job_goes_on(uuid, text)
to authenticated, service_role;
