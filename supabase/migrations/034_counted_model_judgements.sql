-- A language model may say which chunks answer a question. Its word counts in the measures of a set
-- of questions only after the person, who has seen how far it agrees with them, said so: a row here.
-- The name may be that of a set that has no row of its own, as the sample's.

create table public.deep_memory_model_counts (
  user_id uuid not null default auth.uid() references auth.users (id) on delete cascade,
  test_set text not null check (btrim(test_set) <> '' and length(test_set) <= 500),
  since timestamptz not null default now(),
  primary key (user_id, test_set)
);

alter table public.deep_memory_model_counts enable row level security;
create policy "Users can manage their own counted model judgements"
  on public.deep_memory_model_counts for all to authenticated
  using ((select auth.uid()) = user_id)
  with check ((select auth.uid()) = user_id);

-- Take the person's judgement back. A question without an answer is neither a test question nor a
-- training pair any more, unless the documents have none.
create function public.take_back_judgement(p_question text, p_chunk text)
returns void language plpgsql set search_path = '' as $$
begin
  delete from public.deep_memory_judgements
   where user_id = (select auth.uid()) and question_key = public.question_key(p_question)
     and chunk_id = p_chunk and judge = 'person';
  update public.deep_memory_questions set purpose = 'open'
   where user_id = (select auth.uid()) and question_key = public.question_key(p_question)
     and not is_unanswerable and not public.person_found_an_answer(p_question);
end $$;

revoke execute on function public.take_back_judgement(text, text) from public, anon, authenticated;
grant execute on function public.take_back_judgement(text, text) to authenticated;
