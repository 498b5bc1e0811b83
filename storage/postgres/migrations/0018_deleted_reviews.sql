CREATE INDEX ustat_review_history_deleted ON ustat_review_history (user_id, id) WHERE action = 'delete';
