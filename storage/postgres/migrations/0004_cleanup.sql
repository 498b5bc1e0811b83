CREATE INDEX ustat_refresh_tokens_session ON ustat_refresh_tokens (session_id);
--bun:split
CREATE INDEX ustat_sessions_revoked ON ustat_sessions (revoked_at) WHERE revoked_at IS NOT NULL;
