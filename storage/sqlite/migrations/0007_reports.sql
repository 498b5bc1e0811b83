CREATE TABLE ustat_reports (
    id TEXT PRIMARY KEY,
    kind TEXT NOT NULL,
    format TEXT NOT NULL,
    filter TEXT NOT NULL,
    requested_by INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('queued', 'running', 'done', 'failed')),
    files TEXT NOT NULL,
    row_count INTEGER NOT NULL CHECK (row_count >= 0),
    code TEXT NOT NULL,
    created_at TIMESTAMP NOT NULL,
    finished_at TIMESTAMP,
    expires_at TIMESTAMP NOT NULL
) WITHOUT ROWID;
--bun:split
CREATE INDEX ustat_reports_expiry ON ustat_reports (expires_at);
