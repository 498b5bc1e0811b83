-- Which shard of analytics has which bucket.
CREATE TABLE ustat_shard_buckets (
    bucket INTEGER PRIMARY KEY CHECK (bucket >= 0),
    shard TEXT NOT NULL,
    epoch INTEGER NOT NULL CHECK (epoch > 0),
    moving_to TEXT NOT NULL
);
