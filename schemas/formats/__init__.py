"""How records are read: where a format has user, time, id and profile, and which records it ignores."""
