-- A run in which no chunk yielded a question has failed, whichever writer was used: a server that
-- is down but answers 200, or a question model that never follows the form, leaves nothing to
-- review.
--
-- The database decides, by the pairs in the table. The problems of the chunks stay, and proceed_run
-- retries these chunks, because it forgets those that yielded no pair.

create function public.why_no_questions(p_run uuid, p_total_chunks int) returns text
language sql stable set search_path = '' as $$
  select case when p_total_chunks = 0
    then 'The knowledge base is empty, so nothing was asked. Add documents, then proceed.'
    else 'No chunk gave a question'
      || coalesce(' (' || (select string_agg(chunks || ' ' || problem, ', ' order by place)
                             from public.run_problems(p_run)
                                  with ordinality as named (problem, chunks, place)
                            where place <= 3) || ')', '')
      || '. Check the question model and the documents. Proceed asks about all chunks again.'
  end
$$;

create or replace function public.finish_generation(
  p_run uuid, p_user uuid, p_worker uuid, p_attempt int)
returns boolean language plpgsql set search_path = '' as $$
declare
  finished public.deep_memory_training_runs;
begin
  update public.deep_memory_training_runs
     set status = case when pair_count > 0 then 'generated' else 'generating_failed' end,
         error_message = case when pair_count = 0
                              then public.why_no_questions(id, total_chunks) end,
         worker_id = null, lease_expires_at = null
   where id = p_run and user_id = p_user and worker_id = p_worker and attempt = p_attempt
     and status = 'generating'
  returning * into finished;
  if finished.id is null then
    return false;
  end if;
  perform public.log_run_event(p_run, 'generation',
    case when finished.pair_count > 0 then 'finished' else 'failed' end,
    coalesce(finished.error_message, 'Generation finished'),
    jsonb_build_object('processed_chunks', finished.processed_chunks, 'pairs', finished.pair_count));
  return true;
end $$;

revoke execute on function public.why_no_questions(uuid, int) from public, anon, authenticated;
grant execute on function public.why_no_questions(uuid, int) to service_role;
