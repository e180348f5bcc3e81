-- The same terms as in the app: a worker's heartbeat extends its lease, and the sweep gives workers
-- a grace period after a gap. This only renames things.
--
-- `beat_run` stays for replicas of the app's previous version, whose workers would lose their runs
-- without it; a later migration drops it. They do not use the columns of the watch table.
create function public.heartbeat_run(p_run uuid, p_user uuid, p_worker uuid, p_attempt int)
returns boolean language sql set search_path = '' as $$
  with extended as (
    update public.deep_memory_training_runs set lease_expires_at = public.lease_end()
     where id = p_run and user_id = p_user and worker_id = p_worker and attempt = p_attempt
       and status in ('generating', 'training')
    returning 1)
  select exists (select 1 from extended)
$$;

revoke execute on function public.heartbeat_run(uuid, uuid, uuid, int)
from public, anon, authenticated;
grant execute on function public.heartbeat_run(uuid, uuid, uuid, int) to service_role;

create or replace function public.beat_run(p_run uuid, p_user uuid, p_worker uuid, p_attempt int)
returns boolean language sql set search_path = '' as $$
  select public.heartbeat_run(p_run, p_user, p_worker, p_attempt)
$$;

alter table public.deep_memory_watch rename column looked_at to swept_at;
alter table public.deep_memory_watch rename column patient_until to grace_until;

-- As in 009.
--
-- A gap between two sweeps means that the database was away, or nobody was there to sweep: a crash,
-- an outage, a laptop that slept. No heartbeat could arrive then, so workers get a grace of 20
-- seconds for one before their leases count again.
create or replace function public.rescue_runs() returns setof public.deep_memory_training_runs
language plpgsql set search_path = '' as $$
declare
  grace_ends timestamptz;
  rescued public.deep_memory_training_runs;
begin
  update public.deep_memory_watch
     set grace_until = case when swept_at < now() - interval '15 seconds'
                            then now() + interval '20 seconds' else grace_until end,
         swept_at = now()
   where is_the_row -- some hosts refuse an update without a condition
  returning grace_until into grace_ends;
  if now() < grace_ends then
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
