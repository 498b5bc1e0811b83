CREATE TABLE ustat_reports (
    id UUID PRIMARY KEY,
    kind TEXT NOT NULL,
    format TEXT NOT NULL,
    filter TEXT NOT NULL,
    requested_by BIGINT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('queued', 'running', 'done', 'failed')),
    files TEXT NOT NULL,
    row_count BIGINT NOT NULL CHECK (row_count >= 0),
    code TEXT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    finished_at TIMESTAMPTZ,
    expires_at TIMESTAMPTZ NOT NULL
);
--bun:split
CREATE INDEX ustat_reports_expiry ON ustat_reports (expires_at);
