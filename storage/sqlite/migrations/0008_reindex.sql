CREATE TABLE ustat_reindex (
    last_id INTEGER NOT NULL
);
--bun:split
INSERT INTO ustat_reindex (last_id) SELECT 0 WHERE EXISTS (SELECT 1 FROM ustat_courses WHERE text_policy = 0);
