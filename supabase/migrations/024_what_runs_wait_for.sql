-- What a run waits for, so that whoever looks at it sees why it makes no progress, and until when:
-- {"what": "OpenAI's rate limit", "until": "2026-11-27T14:32:00+00:00"}; `until` is null if it is
-- not known. The run's worker writes it, and clears it when the run continues.
alter table public.deep_memory_training_runs add column waiting jsonb;

create function public.note_waiting(
  p_run uuid, p_user uuid, p_worker uuid, p_attempt int, p_waiting jsonb)
returns boolean language sql set search_path = '' as $$
  with noted as (
    update public.deep_memory_training_runs set waiting = p_waiting
     where id = p_run and user_id = p_user and worker_id = p_worker and attempt = p_attempt
       and status in ('generating', 'training')
    returning 1)
  select exists (select 1 from noted)
$$;

revoke execute on function public.note_waiting(uuid, uuid, uuid, int, jsonb)
from public, anon, authenticated;
grant execute on function public.note_waiting(uuid, uuid, uuid, int, jsonb) to service_role;

-- A wait ends with the work: every move of a run clears it. And it is the worker's word, not a
-- person's.
create function public.check_waiting() returns trigger
language plpgsql set search_path = '' as $$
begin
  if (new.status, new.attempt) is distinct from (old.status, old.attempt) then
    new.waiting := null;
  elsif new.waiting is distinct from old.waiting
        and current_user in ('authenticated', 'anon') then
    raise exception 'Only a worker says what its run waits for'
      using errcode = 'insufficient_privilege';
  end if;
  return new;
end $$;

create trigger check_waiting before insert or update on public.deep_memory_training_runs
  for each row execute function public.check_waiting();

revoke execute on function public.check_waiting() from public, anon, authenticated;
