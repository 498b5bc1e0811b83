-- The replies of a user, by review.
CREATE INDEX ustat_reviews_replies ON ustat_reviews (reply_by, id) WHERE reply_by <> 0;
