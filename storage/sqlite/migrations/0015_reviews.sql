CREATE TABLE ustat_reviews (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    course_id INTEGER NOT NULL,
    user_id INTEGER NOT NULL,
    rating INTEGER NOT NULL CHECK (rating BETWEEN 1 AND 5),
    text TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('pending', 'published', 'hidden', 'rejected')),
    reason TEXT NOT NULL,
    trust INTEGER NOT NULL CHECK (trust BETWEEN 0 AND 100),
    helpful INTEGER NOT NULL DEFAULT 0 CHECK (helpful >= 0),
    comments INTEGER NOT NULL DEFAULT 0 CHECK (comments >= 0),
    reports INTEGER NOT NULL DEFAULT 0 CHECK (reports >= 0),
    reply_text TEXT NOT NULL,
    reply_by INTEGER NOT NULL,
    reply_at TIMESTAMP,
    created_at TIMESTAMP NOT NULL,
    updated_at TIMESTAMP NOT NULL,
    version INTEGER NOT NULL DEFAULT 1 CHECK (version > 0),
    UNIQUE (course_id, user_id)
);
--bun:split
CREATE INDEX ustat_reviews_recent ON ustat_reviews (course_id, status, created_at, id);
--bun:split
CREATE INDEX ustat_reviews_helpful ON ustat_reviews (course_id, status, helpful, id);
--bun:split
CREATE INDEX ustat_reviews_rating ON ustat_reviews (course_id, status, rating, id);
--bun:split
CREATE INDEX ustat_reviews_user ON ustat_reviews (user_id, created_at, id);
--bun:split
CREATE INDEX ustat_reviews_status ON ustat_reviews (status, created_at, id);
--bun:split
CREATE INDEX ustat_reviews_newest ON ustat_reviews (created_at, id);
--bun:split
CREATE TABLE ustat_review_stats (
    course_id INTEGER PRIMARY KEY,
    review_count INTEGER NOT NULL DEFAULT 0,
    rating_sum INTEGER NOT NULL DEFAULT 0,
    ones INTEGER NOT NULL DEFAULT 0 CHECK (ones >= 0),
    twos INTEGER NOT NULL DEFAULT 0 CHECK (twos >= 0),
    threes INTEGER NOT NULL DEFAULT 0 CHECK (threes >= 0),
    fours INTEGER NOT NULL DEFAULT 0 CHECK (fours >= 0),
    fives INTEGER NOT NULL DEFAULT 0 CHECK (fives >= 0),
    version INTEGER NOT NULL DEFAULT 0,
    CHECK (review_count = ones + twos + threes + fours + fives),
    CHECK (rating_sum = ones + 2 * twos + 3 * threes + 4 * fours + 5 * fives)
);
--bun:split
CREATE TABLE ustat_review_votes (
    review_id INTEGER NOT NULL REFERENCES ustat_reviews (id),
    user_id INTEGER NOT NULL,
    created_at TIMESTAMP NOT NULL,
    PRIMARY KEY (review_id, user_id)
) WITHOUT ROWID;
--bun:split
CREATE INDEX ustat_review_votes_user ON ustat_review_votes (user_id, review_id);
--bun:split
CREATE TABLE ustat_review_comments (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    review_id INTEGER NOT NULL REFERENCES ustat_reviews (id),
    user_id INTEGER NOT NULL,
    text TEXT NOT NULL,
    created_at TIMESTAMP NOT NULL
);
--bun:split
CREATE INDEX ustat_review_comments_review ON ustat_review_comments (review_id, id);
--bun:split
CREATE INDEX ustat_review_comments_user ON ustat_review_comments (user_id, id);
--bun:split
CREATE TABLE ustat_review_reports (
    review_id INTEGER NOT NULL REFERENCES ustat_reviews (id),
    user_id INTEGER NOT NULL,
    reason TEXT NOT NULL CHECK (reason IN ('spam', 'offensive', 'off_topic', 'fake', 'private', 'other')),
    note TEXT NOT NULL,
    created_at TIMESTAMP NOT NULL,
    handled BOOLEAN NOT NULL DEFAULT FALSE,
    PRIMARY KEY (review_id, user_id)
) WITHOUT ROWID;
--bun:split
CREATE INDEX ustat_review_reports_user ON ustat_review_reports (user_id, review_id);
--bun:split
CREATE TABLE ustat_review_history (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    review_id INTEGER NOT NULL,
    course_id INTEGER NOT NULL,
    user_id INTEGER NOT NULL,
    action TEXT NOT NULL,
    rating INTEGER NOT NULL,
    text TEXT NOT NULL,
    status TEXT NOT NULL,
    reason TEXT NOT NULL,
    actor_id INTEGER NOT NULL,
    created_at TIMESTAMP NOT NULL
);
--bun:split
CREATE INDEX ustat_review_history_review ON ustat_review_history (review_id, id);
--bun:split
CREATE INDEX ustat_review_history_user ON ustat_review_history (user_id, id);
--bun:split
ALTER TABLE ustat_course_stats ADD COLUMN rating_version INTEGER NOT NULL DEFAULT 0;
