-- A question may have several chunks that answer it, as the judgements of BEIR have: it stands once
-- for each chunk. What the generator writes still stands once in a run: save_pairs sees to that.

create function public.question_key(p_question text) returns text
language sql immutable as $$
  select md5(lower(regexp_replace(btrim(p_question), '\s+', ' ', 'g')))
$$;

create unique index one_question_of_a_chunk on public.deep_memory_training_pairs
  (training_run_id, public.question_key(question_text), chunk_id);

drop index public.one_question_per_run;
