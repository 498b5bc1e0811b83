CREATE TABLE ustat_models (
    strategy TEXT PRIMARY KEY,
    id TEXT NOT NULL,
    chunks INTEGER NOT NULL CHECK (chunks > 0),
    size INTEGER NOT NULL CHECK (size > 0),
    began_at TIMESTAMP NOT NULL,
    saved_at TIMESTAMP NOT NULL
) WITHOUT ROWID;
--bun:split
CREATE TABLE ustat_model_chunks (
    model_id TEXT NOT NULL,
    n INTEGER NOT NULL CHECK (n >= 0),
    data BLOB NOT NULL CHECK (length(data) BETWEEN 1 AND 262144),
    kept_at TIMESTAMP NOT NULL,
    PRIMARY KEY (model_id, n)
);
--bun:split
CREATE INDEX ustat_model_chunks_kept ON ustat_model_chunks (kept_at);
--bun:split
-- What learners did and was taken back, for models that were kept before.
CREATE TABLE ustat_removals (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    user_id INTEGER NOT NULL,
    course_id INTEGER NOT NULL,
    at TIMESTAMP NOT NULL
);
--bun:split
CREATE INDEX ustat_removals_at ON ustat_removals (at);
