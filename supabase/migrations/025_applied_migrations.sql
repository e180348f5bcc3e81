-- Which migrations this database has, for an app that starts: one that is older than the database
-- must refuse in words, and one that is newer must say what to do. The Supabase CLI keeps the list in
-- a schema that the REST interface does not show. No rows where the files were applied by hand.
create function public.applied_migrations() returns setof text
language plpgsql stable security definer set search_path = '' as $$
begin
  if to_regclass('supabase_migrations.schema_migrations') is not null then
    return query select version from supabase_migrations.schema_migrations;
  end if;
end $$;

revoke execute on function public.applied_migrations() from public, anon, authenticated;
grant execute on function public.applied_migrations() to service_role;
