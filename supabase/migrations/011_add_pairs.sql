-- Pairs that a person brings into a run in review, a batch at a time, safe to repeat: a question
-- that stands in the run already is passed over. A function, because only the database can say by
-- its own index what is the same question, and PostgREST can not name an index on an expression.
--
-- It runs with the rights of the caller, so the policies of 007 and 009 decide: somebody else's run,
-- or one that is not in review, is refused. Answers how many pairs were new.
create function public.add_pairs(p_run uuid, p_pairs jsonb) returns int
language plpgsql set search_path = '' as $$
declare
  added int;
begin
  insert into public.deep_memory_training_pairs
    (training_run_id, chunk_id, chunk_preview, question_text, relevance_score)
  select p_run, p.chunk_id, p.chunk_preview, p.question_text, p.relevance_score
    from jsonb_to_recordset(p_pairs)
      as p (chunk_id text, chunk_preview text, question_text text, relevance_score float)
  on conflict do nothing;
  get diagnostics added = row_count;
  return added;
end $$;

revoke execute on function public.add_pairs(uuid, jsonb) from public, anon;
grant execute on function public.add_pairs(uuid, jsonb) to authenticated, service_role;
