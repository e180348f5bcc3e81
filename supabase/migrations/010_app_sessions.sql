-- Who is signed in to the screens, so that F5 does not sign a person out and a restart of the app
-- does not either. The browser holds a random id in an HttpOnly cookie; this table holds its hash
-- and the Supabase tokens. Only the app's server (service_role) reads it: there is no policy, so
-- row-level security refuses everybody else.
create table public.app_sessions (
  id_hash text primary key, -- SHA-256 of the cookie's value
  user_id uuid not null references auth.users (id) on delete cascade,
  access_token text not null,
  refresh_token text not null,
  expires_at timestamptz not null, -- of the access token
  updated_at timestamptz not null default now()
);
create index idx_app_sessions_user on public.app_sessions (user_id);
alter table public.app_sessions enable row level security;
revoke all on public.app_sessions from anon, authenticated;
