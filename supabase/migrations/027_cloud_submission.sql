-- A run's `deeplake_job_id` also held texts: "submitting:JOBS for questions HASH" before the
-- service had reported an id, and "ID for questions HASH" after. Now it is only the id; what was
-- submitted has its own column, {"questions": "HASH", "known": ["job", ...]}: a fingerprint of the
-- questions, and the jobs that existed before, for as long as the id is not known.
--
-- Replicas of the app's previous version keep running for the minutes of a deploy: their workers
-- call `record_training_job`, and their searches read `job` and call `settle_cloud_job`. A later
-- migration drops all three. Such a replica mistakes a run submitted by a new one for a run with
-- different questions: it cancels the job, or waits until it has ended, before it submits another.

create function public.job_of_text(p_text text) returns text
language sql immutable set search_path = '' as $$
  select case when p_text not like 'submitting:%' then split_part(p_text, ' for questions ', 1) end
$$;

create function public.submission_of_text(p_text text) returns jsonb
language sql immutable set search_path = '' as $$
  select jsonb_build_object(
    'questions', split_part(p_text, ' for questions ', 2),
    'known', case when p_text like 'submitting:%' then to_jsonb(string_to_array(
      substr(split_part(p_text, ' for questions ', 1), length('submitting:') + 1), ','))
      else '[]' end)
$$;

alter table public.deep_memory_training_runs add column cloud_submission jsonb;
update public.deep_memory_training_runs
   set deeplake_job_id = public.job_of_text(deeplake_job_id),
       cloud_submission = public.submission_of_text(deeplake_job_id)
 where deeplake_job_id is not null;

alter table public.deep_memory_cloud_jobs
  add column id uuid not null default gen_random_uuid(),
  add column job_id text, -- null until the service has told it
  add column submission jsonb;
update public.deep_memory_cloud_jobs
   set job_id = public.job_of_text(job), submission = public.submission_of_text(job);
alter table public.deep_memory_cloud_jobs
  alter column submission set not null,
  drop constraint deep_memory_cloud_jobs_pkey,
  add primary key (id);
create unique index each_submission_once
  on public.deep_memory_cloud_jobs (user_id, coalesce(job_id, ''), submission);

-- As `record_training_job` in 022. A job that has an id is there whatever became of the run
-- meanwhile, so it is written down all the same, and with a run that was stopped too. Whether the run
-- goes on is the answer.
create function public.record_cloud_submission(
  p_run uuid, p_user uuid, p_worker uuid, p_attempt int, p_submission jsonb, p_job_id text)
returns boolean language plpgsql set search_path = '' as $$
declare
  held boolean := public.hold_run(p_run, p_user, p_worker, p_attempt, 'training');
begin
  if not held and p_job_id is null then
    return false;
  end if;
  if p_job_id is not null then
    delete from public.deep_memory_cloud_jobs
     where user_id = p_user and training_run_id = p_run and job_id is null;
  end if;
  insert into public.deep_memory_cloud_jobs (user_id, training_run_id, job_id, submission, job)
  values (p_user, p_run, p_job_id, p_submission,
          coalesce(p_job_id, 'submitting:' || coalesce((select string_agg(known, ',')
            from jsonb_array_elements_text(p_submission -> 'known') as known), ''))
          || ' for questions ' || (p_submission ->> 'questions'))
  on conflict do nothing;
  if held or public.hold_run(p_run, p_user, p_worker, p_attempt, 'training_failed') then
    update public.deep_memory_training_runs
       set deeplake_job_id = p_job_id, cloud_submission = p_submission
     where id = p_run;
  end if;
  if held and p_job_id is not null then
    perform public.log_run_event(p_run, 'training', 'submitted',
      'Submitted to DeepLake Cloud as job ' || p_job_id);
  end if;
  return held;
end $$;

create or replace function public.record_training_job(
  p_run uuid, p_user uuid, p_worker uuid, p_attempt int, p_job text)
returns boolean language plpgsql set search_path = '' as $$
begin
  return public.record_cloud_submission(p_run, p_user, p_worker, p_attempt,
    public.submission_of_text(p_job), public.job_of_text(p_job));
end $$;

-- As `settle_cloud_job` in 022: what DeepLake Cloud says of a submission of the caller, completed or
-- else gone. A list of jobs may lag behind, so one of a moment ago is not taken for gone.
create function public.settle_cloud_submission(p_id uuid, p_completed boolean)
returns void language plpgsql security definer set search_path = '' as $$
begin
  if p_completed then
    update public.deep_memory_cloud_jobs set completed = true
     where user_id = (select auth.uid()) and id = p_id;
  else
    delete from public.deep_memory_cloud_jobs
     where user_id = (select auth.uid()) and id = p_id and not completed
       and created_at < now() - interval '1 minute';
  end if;
end $$;

-- As in 009; what an earlier training submitted is forgotten.
create or replace function public.start_training(p_run uuid)
returns setof public.deep_memory_training_runs language plpgsql set search_path = '' as $$
declare
  moved public.deep_memory_training_runs;
begin
  update public.deep_memory_training_runs
     set status = 'training', attempt = attempt + 1, worker_id = null,
         lease_expires_at = public.lease_end(), error_message = null, deeplake_job_id = null,
         cloud_submission = null, set_aside = false
   where id = p_run and user_id = auth.uid() and status = 'generated'
  returning * into moved;
  if moved.id is not null then
    perform public.log_run_event(p_run, 'training', 'started', 'Training started',
      jsonb_build_object('pairs', moved.pair_count));
    return next moved;
  end if;
end $$;

-- As in 020; a job is cancelled by what was submitted, too.
create or replace function public.check_worker_columns() returns trigger
language plpgsql set search_path = '' as $$
begin
  if current_user in ('authenticated', 'anon') and (
       new.deeplake_job_id is not null
         and (tg_op = 'INSERT' or new.deeplake_job_id is distinct from old.deeplake_job_id)
       or new.cloud_submission is not null
         and (tg_op = 'INSERT' or new.cloud_submission is distinct from old.cloud_submission)
       or tg_op = 'UPDATE' and new.settings is distinct from old.settings) then
    raise exception 'Only a worker writes the job and the settings of a run'
      using errcode = 'insufficient_privilege';
  end if;
  return new;
end $$;

revoke execute on function
  public.job_of_text(text), public.submission_of_text(text),
  public.record_cloud_submission(uuid, uuid, uuid, int, jsonb, text),
  public.settle_cloud_submission(uuid, boolean)
from public, anon, authenticated;

grant execute on function
  public.job_of_text(text), public.submission_of_text(text),
  public.record_cloud_submission(uuid, uuid, uuid, int, jsonb, text)
to service_role; -- the workers
grant execute on function public.settle_cloud_submission(uuid, boolean)
to authenticated, service_role;
