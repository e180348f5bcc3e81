"""A local Supabase: real Postgres and PostgREST behind one gateway on loopback."""
