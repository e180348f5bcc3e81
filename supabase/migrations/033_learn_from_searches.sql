-- What people ask teaches search only if somebody says what answered them. These functions keep
-- searches with consent, take a judgement of a hit, and find the questions that search missed.
--
-- All of them act on the caller's own rows alone. A vote of another application's users is kept
-- beside the person's judgements and counts for nothing until the person has said the same.

alter table public.deep_memory_questions
  add column found_nothing_by text check (found_nothing_by in ('person', 'application')),
  add column first_hit text check (length(first_hit) <= 200), -- when a hit was judged last
  add column dismissed_at timestamptz;

alter table public.deep_memory_searches
  add column times int not null default 1 check (times between 1 and 1000000),
  -- Of a log: what answers the question, as in a test set; whether the first ten lack it; and how
  -- far the two rankings are apart, from 0 to 1.
  add column expected jsonb not null default '[]',
  add column is_missed boolean not null default false,
  add column disagreement real check (disagreement between 0 and 1);
create unique index one_logged_question on public.deep_memory_searches (user_id, question_key)
  where source = 'log';

-- Keep a search if the person has consented, and delete those older than they are to be kept.
create function public.keep_search(p_question text, p_source text, p_shown jsonb, p_run uuid)
returns boolean language sql set search_path = '' as $$
  with old as (
    delete from public.deep_memory_searches s using public.deep_memory_settings c
     where c.user_id = (select auth.uid()) and s.user_id = c.user_id and s.source <> 'log'
       and s.asked_at < now() - make_interval(days => c.searches_kept_days)),
  kept as (
    insert into public.deep_memory_searches (user_id, question, source, shown, training_run_id)
    select c.user_id, p_question, p_source, p_shown, p_run from public.deep_memory_settings c
     where c.user_id = (select auth.uid()) and c.keeps_searches and p_source <> 'log'
    returning 1)
  select exists (select from kept)
$$;

-- The same for everybody, also for those who do not search any more. Returns how many went.
create function public.delete_old_searches() returns bigint
language sql set search_path = '' as $$
  with old as (
    delete from public.deep_memory_searches s using public.deep_memory_settings c
     where s.user_id = c.user_id and s.source <> 'log'
       and s.asked_at < now() - make_interval(days => c.searches_kept_days)
    returning 1)
  select count(*) from old
$$;

-- Put the questions of a log in the place of the same questions of an earlier log.
create function public.save_log(p_rows jsonb) returns bigint
language sql set search_path = '' as $$
  with saved as (
    insert into public.deep_memory_searches
      (user_id, question, source, shown, training_run_id, asked_at, times, expected, is_missed,
       disagreement)
    select distinct on (public.question_key(r.question))
           (select auth.uid()), r.question, 'log', r.shown, r.training_run_id,
           coalesce(r.asked_at, now()), r.times, r.expected, r.is_missed, r.disagreement
      from jsonb_to_recordset(p_rows) as r (
        question text, shown jsonb, training_run_id uuid, asked_at timestamptz, times int,
        expected jsonb, is_missed boolean, disagreement real)
    on conflict (user_id, question_key) where source = 'log' do update
       set shown = excluded.shown, training_run_id = excluded.training_run_id,
           asked_at = excluded.asked_at, times = excluded.times, expected = excluded.expected,
           is_missed = excluded.is_missed, disagreement = excluded.disagreement
    returning 1)
  select count(*) from saved
$$;

create function public.person_found_an_answer(p_question text) returns boolean
language sql stable set search_path = '' as $$
  select exists (
    select from public.deep_memory_judgements
     where user_id = (select auth.uid()) and question_key = public.question_key(p_question)
       and judge = 'person' and answers)
$$;

-- Judge a chunk; null takes the judgement back. A question that has lost its last answer measures
-- and teaches nothing any more.
create function public.judge_hit(
  p_question text, p_chunk text, p_answers boolean, p_judge text, p_first_hit text, p_origin text)
returns void language plpgsql set search_path = '' as $$
begin
  insert into public.deep_memory_questions as q (question, origin, first_hit)
  values (p_question, p_origin, p_first_hit)
  on conflict (user_id, question_key) do update
     set first_hit = coalesce(excluded.first_hit, q.first_hit),
         dismissed_at = case when p_judge = 'person' then null else q.dismissed_at end;
  if p_answers is null then
    delete from public.deep_memory_judgements
     where user_id = (select auth.uid()) and question_key = public.question_key(p_question)
       and chunk_id = p_chunk and judge = p_judge;
  else
    insert into public.deep_memory_judgements (question, chunk_id, judge, answers)
    values (p_question, p_chunk, p_judge, p_answers)
    on conflict (user_id, question_key, chunk_id, judge) do update
       set answers = excluded.answers, reason = '', judged_at = now();
  end if;
  if p_judge = 'person' then
    update public.deep_memory_questions
       set found_nothing_by = case when p_answers then null else found_nothing_by end,
           is_unanswerable = is_unanswerable and p_answers is not true,
           purpose = case when public.person_found_an_answer(p_question)
                            or (is_unanswerable and purpose = 'test')
                          then purpose else 'open' end
     where user_id = (select auth.uid()) and question_key = public.question_key(p_question);
  end if;
end $$;

-- Say that no hit answers, or take it back. An application's word does not replace the person's.
create function public.say_nothing_answers(
  p_question text, p_is_so boolean, p_judge text, p_origin text)
returns void language sql set search_path = '' as $$
  insert into public.deep_memory_questions as q (question, origin, found_nothing_by)
  values (p_question, p_origin, case when p_is_so then p_judge end)
  on conflict (user_id, question_key) do update
     set found_nothing_by = case
           when p_judge = 'application' and q.found_nothing_by = 'person' then 'person'
           when p_is_so then p_judge end,
         dismissed_at = case when p_judge = 'person' then null else q.dismissed_at end
$$;

-- Give a question its one purpose. False: it has no answer yet, so it can neither measure nor teach;
-- one without any answer in the documents can only measure.
create function public.decide_purpose(p_question text, p_purpose text, p_origin text)
returns boolean language sql set search_path = '' as $$
  with decided as (
    insert into public.deep_memory_questions as q (question, origin, purpose)
    select p_question, p_origin, p_purpose
     where p_purpose = 'open' or public.person_found_an_answer(p_question)
        or (p_purpose = 'test' and exists (
              select from public.deep_memory_questions
               where user_id = (select auth.uid()) and is_unanswerable
                 and question_key = public.question_key(p_question)))
    on conflict (user_id, question_key) do update set purpose = excluded.purpose
    returning 1)
  select exists (select from decided)
$$;

-- Say that the documents have no answer, or take it back. False: the person marked one.
create function public.say_unanswerable(p_question text, p_is_so boolean, p_origin text)
returns boolean language sql set search_path = '' as $$
  with said as (
    insert into public.deep_memory_questions as q (question, origin, is_unanswerable)
    select p_question, p_origin, p_is_so
     where not (p_is_so and public.person_found_an_answer(p_question))
    on conflict (user_id, question_key) do update
       set is_unanswerable = excluded.is_unanswerable,
           purpose = case when q.is_unanswerable and not excluded.is_unanswerable
                            and not public.person_found_an_answer(p_question)
                          then 'open' else q.purpose end
    returning 1)
  select exists (select from said)
$$;

-- Leave a question out of the missed ones until it is judged again.
create function public.dismiss_question(p_question text, p_origin text) returns void
language sql set search_path = '' as $$
  insert into public.deep_memory_questions (question, origin, dismissed_at)
  values (p_question, p_origin, now())
  on conflict (user_id, question_key) do update set dismissed_at = now()
$$;

-- All that the person said about one question.
create function public.marks_of(p_question text) returns jsonb
language sql stable set search_path = '' as $$
  select jsonb_build_object(
    'answers', (
      select coalesce(jsonb_object_agg(chunk_id, answers), '{}')
        from public.deep_memory_judgements
       where user_id = (select auth.uid()) and judge = 'person'
         and question_key = public.question_key(p_question)),
    'question', (
      select to_jsonb(q) from public.deep_memory_questions q
       where user_id = (select auth.uid()) and question_key = public.question_key(p_question)))
$$;

-- What another application's users said, and the person has not reviewed, the oldest first. Without
-- a chunk: that no hit answers.
create function public.application_votes(p_limit int)
returns table (question text, chunk_id text, answers boolean, said_at timestamptz)
language sql stable set search_path = '' as $$
  select j.question, j.chunk_id, j.answers, j.judged_at
    from public.deep_memory_judgements j
   where j.user_id = (select auth.uid()) and j.judge = 'application' and not exists (
     select from public.deep_memory_judgements own
      where own.user_id = j.user_id and own.question_key = j.question_key
        and own.chunk_id = j.chunk_id and own.judge = 'person')
  union all
  select q.question, null, false, q.created_at from public.deep_memory_questions q
   where q.user_id = (select auth.uid()) and q.found_nothing_by = 'application'
  order by 4, 1, 2
  limit p_limit
$$;

-- The questions that search missed and nobody has decided about, the most repeated first. `why`:
-- no hit answers, the first hit does not, the answer that a log names is not among the first ten. Or,
-- if `p_disagreeing`, those of a log that nobody has judged and of which the two rankings disagree,
-- the most first.
create function public.missed_questions(p_disagreeing boolean, p_limit int)
returns table (question text, why text, times bigint, last_asked timestamptz, has_answer boolean,
               disagreement real)
language sql stable set search_path = '' as $$
  with asked as (
    select s.question_key, max(s.question) as question, sum(s.times) as times,
           max(s.asked_at) as last_asked, bool_or(s.is_missed) as is_missed,
           max(s.disagreement) as disagreement, array_agg(s.shown ->> 0) as first_hits
      from public.deep_memory_searches s where s.user_id = (select auth.uid())
     group by s.question_key),
  judged as (
    select j.question_key, bool_or(j.answers) as has_answer,
           array_agg(j.chunk_id) filter (where not j.answers) as wrong
      from public.deep_memory_judgements j
     where j.user_id = (select auth.uid()) and j.judge = 'person'
     group by j.question_key),
  own as (select * from public.deep_memory_questions where user_id = (select auth.uid())),
  known as (
    select coalesce(q.question, a.question) as question,
           case when q.found_nothing_by = 'person' then 'nothing answers'
                when q.first_hit = any (j.wrong) or a.first_hits && j.wrong then 'first hit is wrong'
                when a.is_missed then 'answer not found'
                when a.disagreement > 0 and j.question_key is null then 'rankings disagree'
           end as why,
           greatest(coalesce(a.times, 1), 1) as times,
           coalesce(a.last_asked, q.created_at) as last_asked,
           coalesce(j.has_answer, false) as has_answer, a.disagreement
      from own q full join asked a on a.question_key = q.question_key
      left join judged j on j.question_key = coalesce(q.question_key, a.question_key)
     where coalesce(q.purpose, 'open') = 'open' and q.is_unanswerable is not true
       and q.dismissed_at is null)
  select k.question, k.why, k.times, k.last_asked, k.has_answer, k.disagreement from known k
   where (k.why = 'rankings disagree') = p_disagreeing
   order by case when p_disagreeing then k.disagreement end desc, k.times desc,
            k.last_asked desc, k.question
   limit p_limit
$$;

do $$
declare
  callable text;
begin
  foreach callable in array array[
    'keep_search(text, text, jsonb, uuid)', 'save_log(jsonb)', 'person_found_an_answer(text)',
    'judge_hit(text, text, boolean, text, text, text)',
    'say_nothing_answers(text, boolean, text, text)', 'decide_purpose(text, text, text)',
    'say_unanswerable(text, boolean, text)', 'dismiss_question(text, text)', 'marks_of(text)',
    'application_votes(int)', 'missed_questions(boolean, int)']
  loop
    execute format('revoke execute on function public.%s from public, anon', callable);
    execute format('grant execute on function public.%s to authenticated, service_role', callable);
  end loop;
end $$;
revoke execute on function public.delete_old_searches() from public, anon, authenticated;
grant execute on function public.delete_old_searches() to service_role;
