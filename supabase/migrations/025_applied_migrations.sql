-- Which migrations this database has, for an app that starts: an app older than the database must
-- refuse with a message, and a newer one must say what to do. The Supabase CLI keeps the list in a
-- schema that the REST interface does not expose. Returns no rows if they were applied by hand.
create function public.applied_migrations() returns setof text
language plpgsql stable security definer set search_path = '' as $$
begin
  if to_regclass('supabase_migrations.schema_migrations') is not null then
    return query select version from supabase_migrations.schema_migrations;
  end if;
end $$;

revoke execute on function public.applied_migrations() from public, anon, authenticated;
grant execute on function public.applied_migrations() to service_role;
