-- A cloud training is recorded twice: before it is submitted, with the jobs that are there already
-- ("submitting:..."), and after it, with the job's id. Only the second is a submission; the
-- timeline called both one.

create or replace function public.record_training_job(
  p_run uuid, p_user uuid, p_worker uuid, p_attempt int, p_job text)
returns boolean language plpgsql set search_path = '' as $$
begin
  if not public.hold_run(p_run, p_user, p_worker, p_attempt, 'training') then
    return false;
  end if;
  update public.deep_memory_training_runs set deeplake_job_id = p_job where id = p_run;
  if p_job not like 'submitting:%' then
    perform public.log_run_event(p_run, 'training', 'submitted',
      'Submitted to DeepLake Cloud as job ' || p_job);
  end if;
  return true;
end $$;
