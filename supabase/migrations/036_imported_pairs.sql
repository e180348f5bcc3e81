-- Pairs that a person brings as a file are their questions, not the app's: a verdict on held-out
-- questions has to say who wrote them. Pairs of before this migration count as written by the app.

alter table public.deep_memory_training_pairs add column is_imported boolean not null default false;

create or replace function public.add_pairs(p_run uuid, p_pairs jsonb) returns int
language plpgsql set search_path = '' as $$
declare
  added int;
begin
  insert into public.deep_memory_training_pairs as p
    (training_run_id, chunk_id, chunk_preview, question_text, relevance_score, is_imported)
  select distinct on (public.question_key(n.question_text), n.chunk_id)
         p_run, n.chunk_id, n.chunk_preview, n.question_text, n.relevance_score, true
    from rows from (jsonb_to_recordset(p_pairs)
           as (chunk_id text, chunk_preview text, question_text text, relevance_score float))
         with ordinality as n (chunk_id, chunk_preview, question_text, relevance_score, place)
   order by public.question_key(n.question_text), n.chunk_id, n.place
  on conflict (training_run_id, public.question_key(question_text), chunk_id)
  do update set review = 'to_review' where p.review = 'dropped';
  get diagnostics added = row_count;
  return added;
end $$;
