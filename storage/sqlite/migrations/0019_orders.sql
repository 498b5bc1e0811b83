-- A course's orders of one status, by id.
CREATE INDEX ustat_orders_course_status ON ustat_orders (course_id, status, id);
