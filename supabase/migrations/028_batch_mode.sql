-- The choice of the batch mode was stored in a run's settings as "patient"; it is "batch_mode" now,
-- as in the app. For the minutes of a deploy, a replica of the app's previous version may work on a
-- run: it reads only the old name, and would ask at full price what already waits in batches. So
-- each run has both names, whichever it was started with; a later migration drops the old one.

update public.deep_memory_training_runs
   set settings = settings || jsonb_build_object('batch_mode', settings -> 'patient')
 where settings ? 'patient';

-- As in 009, with both names.
create or replace function public.start_run(p_total_chunks int, p_settings jsonb)
returns setof public.deep_memory_training_runs language plpgsql set search_path = '' as $$
declare
  batch_mode jsonb := coalesce(p_settings -> 'batch_mode', p_settings -> 'patient');
  started public.deep_memory_training_runs;
begin
  if exists (select 1 from public.deep_memory_training_runs
              where user_id = auth.uid() and status <> 'completed' and set_aside) then
    return;
  end if;
  insert into public.deep_memory_training_runs
    (user_id, status, total_chunks, settings, lease_expires_at)
  values (auth.uid(), 'generating', p_total_chunks,
          p_settings || jsonb_strip_nulls(
            jsonb_build_object('batch_mode', batch_mode, 'patient', batch_mode)),
          public.lease_end())
  on conflict (user_id) where status <> 'completed' and not set_aside do nothing
  returning * into started;
  if started.id is not null then
    perform public.log_run_event(started.id, 'generation', 'started', 'Generation started',
      jsonb_build_object('total_chunks', p_total_chunks));
    return next started;
  end if;
end $$;
