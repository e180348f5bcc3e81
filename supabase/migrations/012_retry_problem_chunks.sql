-- Ask again only what went wrong: chunks that were refused, cut off, empty or short.
--
-- Two of the moves that there are, in one transaction: out of review as if discarded, and back to
-- generating as if proceeded with. So there is no new move, and nobody ever sees the status between.
-- proceed_run itself would not do: it also asks again for chunks whose pairs a person dropped.

-- No row back: the run is not there, not the caller's, not in review, or no chunk had a problem.
-- Pairs stay, also those of a chunk that yielded fewer than asked for: they are paid for.
create function public.retry_problem_chunks(p_run uuid)
returns setof public.deep_memory_training_runs
language plpgsql set search_path = '' as $$
declare
  moved public.deep_memory_training_runs;
  again int;
begin
  update public.deep_memory_training_runs
     set status = 'generating_failed'
   where id = p_run and user_id = auth.uid() and status = 'generated'
     and exists (select 1 from public.deep_memory_run_chunks
                  where training_run_id = p_run and problem is not null);
  if not found then
    return;
  end if;
  delete from public.deep_memory_run_chunks
   where training_run_id = p_run and problem is not null;
  get diagnostics again = row_count;
  update public.deep_memory_training_runs
     set status = 'generating', attempt = attempt + 1, worker_id = null,
         lease_expires_at = public.lease_end(), set_aside = false,
         processed_chunks = (select count(*) from public.deep_memory_run_chunks
                              where training_run_id = p_run)
   where id = p_run
  returning * into moved;
  perform public.log_run_event(p_run, 'generation', 'retried', 'Asking again',
    jsonb_build_object('chunks', again, 'pairs', moved.pair_count));
  return next moved;
end $$;

revoke execute on function public.retry_problem_chunks(uuid) from public, anon;
grant execute on function public.retry_problem_chunks(uuid) to authenticated, service_role;
