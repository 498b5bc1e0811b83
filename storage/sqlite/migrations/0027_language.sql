-- The language that a user has chosen to be answered in.
ALTER TABLE ustat_users ADD COLUMN language TEXT NOT NULL DEFAULT '';
