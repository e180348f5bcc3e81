-- A review that a person finishes: each pair has a state, so that a dropped one can come back and the
-- app can say how many are still to be reviewed. A dropped pair stays in its row, but counts nowhere:
-- `pair_count` is what training uses. `original_question` is what an edited question was before.
-- `reviewed_at` changes with every decision, so it also says whether somebody else decided since: see
-- review_pairs.
--
-- What a check finds is stored with the pair, so that pairs are ordered and filtered here, and a change
-- needs a new check of one chunk's pairs only. `checked_against` is the version of the knowledge base
-- that it was made on; null asks for a check.
--
-- Pairs that a person brings as a file are their questions, not the app's: a verdict on held-out
-- questions has to say who wrote them. Pairs of before this migration count as written by the app.
--
-- The previous version of the app deletes pairs to drop them, which still works.

alter table public.deep_memory_training_pairs
  add column review text not null default 'to_review'
    constraint deep_memory_training_pairs_review_check
    check (review in ('to_review', 'kept', 'dropped')),
  add column original_question text,
  add column reviewed_at timestamptz,
  add column doubt double precision,
  add column flags text[] not null default '{}',
  add column checked_against text,
  add column is_imported boolean not null default false;

-- Whoever changes a pair, by whatever statement: the decision is noted, and what the check said of
-- the old question, or of a question beside the dropped one, is looked at again.
create function public.note_review() returns trigger language plpgsql set search_path = '' as $$
begin
  if new.question_text is distinct from old.question_text then
    new.original_question := nullif(
      coalesce(old.original_question, old.question_text), new.question_text);
    if new.review = 'to_review' and old.review = 'to_review' then
      new.review := 'kept';
    end if;
  elsif new.review = old.review then
    return new; -- a check noted what it found
  end if;
  new.reviewed_at := case when new.review <> 'to_review' then clock_timestamp() end;
  if new.question_text is distinct from old.question_text
     or (new.review = 'dropped') <> (old.review = 'dropped') then
    new.checked_against := null;
  end if;
  return new;
end $$;

create trigger note_review before update on public.deep_memory_training_pairs
  for each row execute function public.note_review();

create or replace function public.count_pairs() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  update public.deep_memory_training_runs r
     set pair_count = r.pair_count + case when tg_op = 'INSERT' then c.pairs else -c.pairs end
    from (select training_run_id, count(*)::int as pairs from changed
           where review <> 'dropped' group by 1) c
   where r.id = c.training_run_id;
  return null;
end $$;

create function public.count_reviewed_pairs() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  update public.deep_memory_training_runs r set pair_count = r.pair_count + c.pairs
    from (select training_run_id, sum(pairs)::int as pairs
            from (select training_run_id, 1 as pairs from after where review <> 'dropped'
                  union all
                  select training_run_id, -1 from before where review <> 'dropped') each_pair
           group by 1 having sum(pairs) <> 0) c
   where r.id = c.training_run_id;
  return null;
end $$;

create trigger count_reviewed_pairs after update on public.deep_memory_training_pairs
  referencing old table as before new table as after
  for each statement execute function public.count_reviewed_pairs();

-- Decide about pairs, and change the question of one. With `p_seen`, which holds for each id the
-- `reviewed_at` that the caller saw, a pair about which somebody decided since is left alone. Returns
-- the pairs that changed. It runs with the caller's rights: row-level security lets through only
-- one's own pairs, while their run is in review.
create function public.review_pairs(
  p_run uuid, p_ids uuid[], p_seen timestamptz[], p_review text, p_question text default null)
returns setof public.deep_memory_training_pairs language sql set search_path = '' as $$
  update public.deep_memory_training_pairs p
     set review = p_review, question_text = coalesce(p_question, p.question_text)
    from unnest(p_ids, p_seen) as meant (id, seen)
   where p.training_run_id = p_run and p.id = meant.id
     and (p_seen is null or p.reviewed_at is not distinct from meant.seen)
     and (p.review <> p_review or p.question_text <> coalesce(p_question, p.question_text))
  returning p.*
$$;

-- What a check found, for pairs about which nobody decided while it was made. Returns how many.
create function public.note_checks(p_run uuid, p_version text, p_checks jsonb) returns int
language plpgsql set search_path = '' as $$
declare
  noted int;
begin
  update public.deep_memory_training_pairs p
     set doubt = c.doubt, flags = c.flags, checked_against = p_version
    from jsonb_to_recordset(p_checks)
      as c (id uuid, reviewed_at timestamptz, doubt float, flags text[])
   where p.training_run_id = p_run and p.id = c.id
     and p.reviewed_at is not distinct from c.reviewed_at;
  get diagnostics noted = row_count;
  return noted;
end $$;

-- The pairs to check: those of every chunk of which a pair was not checked on this version.
create function public.unchecked_pairs(p_run uuid, p_version text)
returns setof public.deep_memory_training_pairs language sql stable set search_path = '' as $$
  select p.* from public.deep_memory_training_pairs p
   where p.training_run_id = p_run and p.chunk_id in (
     select chunk_id from public.deep_memory_training_pairs
      where training_run_id = p_run and checked_against is distinct from p_version)
   order by p.id
$$;

-- How far the review of a run is. `flags` counts, by flag, the pairs that are still to be reviewed.
create function public.review_counts(p_run uuid, p_version text) returns jsonb
language sql stable set search_path = '' as $$
  with mine as (select review, original_question, flags, checked_against
                  from public.deep_memory_training_pairs where training_run_id = p_run)
  select jsonb_build_object(
      'to_review', count(*) filter (where review = 'to_review'),
      'kept', count(*) filter (where review = 'kept'),
      'dropped', count(*) filter (where review = 'dropped'),
      'edited', count(*) filter (where review <> 'dropped' and original_question is not null),
      'flagged', count(*) filter (where review = 'to_review' and flags <> '{}'),
      'unchecked', count(*) filter (where checked_against is distinct from p_version),
      'flags', (select coalesce(jsonb_object_agg(flag, pairs), '{}')
                  from (select flag, count(*) as pairs from mine m, unnest(m.flags) as flag
                         where m.review = 'to_review' group by flag) f))
    from mine
$$;

-- A pair that was dropped comes back with a file that has it; others are passed over, as before.
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

create or replace function public.pairs_by_chunk(
  p_import uuid, p_user uuid, p_worker uuid, p_attempt int)
returns jsonb language plpgsql set search_path = '' as $$
begin
  if not public.hold_import(p_import, p_user, p_worker, p_attempt) then
    return null;
  end if;
  return jsonb_build_object('pairs', (
    select coalesce(jsonb_object_agg(c.chunk_id, c.pairs), '{}') from (
      select p.chunk_id, count(*) as pairs from public.deep_memory_training_pairs p
        join public.deep_memory_training_runs r on r.id = p.training_run_id
       where r.user_id = p_user and p.review <> 'dropped' group by p.chunk_id) c));
end $$;

revoke execute on function
  public.note_review(), public.count_reviewed_pairs(),
  public.review_pairs(uuid, uuid[], timestamptz[], text, text),
  public.note_checks(uuid, text, jsonb), public.unchecked_pairs(uuid, text),
  public.review_counts(uuid, text)
  from public, anon, authenticated;
grant execute on function
  public.review_pairs(uuid, uuid[], timestamptz[], text, text),
  public.note_checks(uuid, text, jsonb), public.unchecked_pairs(uuid, text),
  public.review_counts(uuid, text)
  to authenticated, service_role;
