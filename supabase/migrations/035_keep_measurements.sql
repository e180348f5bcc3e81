-- A model measured on a test set after its training showed the figures once and forgot them. They are
-- kept with the run from now on, in place of earlier ones on the same set, in one statement, so that
-- two that measure at once both land.
create function public.keep_measurement(p_run uuid, p_figures jsonb)
returns setof public.deep_memory_training_runs language sql set search_path = '' as $$
  update public.deep_memory_training_runs r
     set metrics = jsonb_set(r.metrics, '{test_sets}', (
       select coalesce(jsonb_agg(kept.figures order by kept.place), '[]')
         from jsonb_array_elements(coalesce(r.metrics -> 'test_sets', '[]'))
              with ordinality as kept (figures, place)
        where kept.figures ->> 'name' is distinct from p_figures ->> 'name')
       || jsonb_build_array(p_figures || jsonb_build_object('measured_at', now())))
   where r.id = p_run and r.user_id = (select auth.uid()) and r.status = 'completed'
  returning r.*;
$$;

revoke execute on function public.keep_measurement(uuid, jsonb) from public, anon, authenticated;
grant execute on function public.keep_measurement(uuid, jsonb) to authenticated;
