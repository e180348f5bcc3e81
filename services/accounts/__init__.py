"""Who is signed in, and the connection to Supabase."""
