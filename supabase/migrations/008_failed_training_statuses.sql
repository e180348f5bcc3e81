-- A failure names its phase: 'failed' becomes 'generating_failed' or 'training_failed' (ZIP-005).
--
-- The old constraint goes first: while it stands, it refuses the new values, and the update fails
-- on any table that holds a 'failed' row. One block, so that no runner can stop half way.

do $$
begin
  alter table public.deep_memory_training_runs
    drop constraint if exists deep_memory_training_runs_status_check;

  update public.deep_memory_training_runs
     set status = case when deeplake_job_id is null then 'generating_failed'
                       else 'training_failed' end
   where status = 'failed';

  alter table public.deep_memory_training_runs
    add constraint deep_memory_training_runs_status_check
    check (status in ('generating', 'generated', 'training', 'completed',
                      'generating_failed', 'training_failed'));
end
$$;
