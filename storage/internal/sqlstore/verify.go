package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/ustat/ustat/courses"
)

// rule is a query for the rows that contradict others. Its one column names them.
type rule struct{ name, query string }

// rules hold what no constraint of the schema can. Each is one statement.
var rules = []rule{
	{"a course without statistics", "SELECT c.slug FROM ustat_courses AS c LEFT JOIN ustat_course_stats AS s ON s.course_id = c.id WHERE s.course_id IS NULL"},
	{"statistics that list a course elsewhere than it is", "SELECT c.slug FROM ustat_courses AS c JOIN ustat_course_stats AS s ON s.course_id = c.id" +
		" WHERE s.status <> c.status OR coalesce(s.category_id, 0) <> coalesce(c.category_id, 0) OR s.teacher_id <> c.teacher_id OR s.lang <> c.lang"},
	{"a tag that lists a course elsewhere than it is", "SELECT DISTINCT c.slug FROM ustat_courses AS c JOIN ustat_course_tags AS t ON t.course_id = c.id" +
		" WHERE t.status <> c.status OR t.created_at <> c.created_at OR t.currency <> c.currency OR t.price_minor <> c.price_minor"},
	{"a slug of one course that another had before", "SELECT c.slug FROM ustat_courses AS c JOIN ustat_course_slugs AS s ON s.slug = c.slug WHERE s.course_id <> c.id"},
	{"a lesson in a module of another course", "SELECT c.slug FROM ustat_lessons AS l JOIN ustat_modules AS m ON m.id = l.module_id" +
		" JOIN ustat_courses AS c ON c.id = l.course_id WHERE m.course_id <> l.course_id"},
	{"a user without a profile", "SELECT u.username FROM ustat_users AS u LEFT JOIN ustat_profiles AS p ON p.user_id = u.id WHERE p.user_id IS NULL"},
	{"a specialization that lists a profile under another slug", "SELECT p.slug FROM ustat_profiles AS p" +
		" JOIN ustat_profile_specializations AS ps ON ps.user_id = p.user_id WHERE ps.slug <> p.slug"},
	{"a session with two unused refresh tokens", "SELECT CAST(session_id AS TEXT) FROM ustat_refresh_tokens WHERE used_at IS NULL GROUP BY session_id HAVING count(*) > 1"},
	{"a revoked session with an unused refresh token", "SELECT DISTINCT CAST(s.id AS TEXT) FROM ustat_sessions AS s" +
		" JOIN ustat_refresh_tokens AS t ON t.session_id = s.id WHERE s.revoked_at IS NOT NULL AND t.used_at IS NULL"},
	{"a living session whose refresh tokens are all used", "SELECT CAST(s.id AS TEXT) FROM ustat_sessions AS s JOIN ustat_refresh_tokens AS t ON t.session_id = s.id" +
		" WHERE s.revoked_at IS NULL GROUP BY s.id HAVING sum(CASE WHEN t.used_at IS NULL THEN 1 ELSE 0 END) = 0"},
	{"no active admin is left", "SELECT 'the audit log knows of one' FROM (SELECT count(*) AS n FROM ustat_users WHERE role = 'admin' AND active) AS admins" +
		" WHERE n = 0 AND EXISTS (SELECT 1 FROM ustat_audit WHERE action = 'accounts.role_changed' AND detail LIKE '%\"from\":\"admin\"%')"},
	{"statistics that count other students or completions than there are", "SELECT c.slug FROM ustat_courses AS c JOIN ustat_course_stats ON ustat_course_stats.course_id = c.id WHERE " + miscounted},
	{"a course with more students than seats", "SELECT c.slug FROM ustat_courses AS c WHERE c.capacity > 0 AND c.capacity <" +
		" (SELECT count(*) FROM ustat_enrollments AS e WHERE e.course_id = c.id AND e.status IN ('active', 'completed'))"},
	{"somebody who waits for a seat that is free", "SELECT DISTINCT c.slug FROM ustat_courses AS c JOIN ustat_enrollments AS e ON e.course_id = c.id AND e.status = 'waiting'" +
		" JOIN ustat_course_stats AS s ON s.course_id = c.id WHERE c.status = 'published' AND (c.capacity = 0 OR s.students < c.capacity) AND (c.price_minor = 0 OR " + hasRight + ")"},
	{"an enrollment whose status and times contradict each other", "SELECT CAST(id AS TEXT) FROM ustat_enrollments WHERE (status = 'completed' AND completed_at IS NULL)" +
		" OR (status = 'active' AND completed_at IS NOT NULL) OR (status IN ('cancelled', 'refunded')) <> (ended_at IS NOT NULL)"},
	{"a course with another number of prerequisites than it counts", "SELECT c.slug FROM ustat_courses AS c WHERE c.prerequisite_count <>" +
		" (SELECT count(*) FROM ustat_prerequisites AS p WHERE p.course_id = c.id)"},
	// What is counted and what is stored are added with opposite signs: nothing is left.
	{"numbers of a course that are not those of its published reviews", "SELECT CAST(course_id AS TEXT) FROM (" +
		"SELECT course_id, 1 AS n, rating AS sum, CASE WHEN rating = 1 THEN 1 ELSE 0 END AS ones, CASE WHEN rating = 2 THEN 1 ELSE 0 END AS twos," +
		" CASE WHEN rating = 3 THEN 1 ELSE 0 END AS threes, CASE WHEN rating = 4 THEN 1 ELSE 0 END AS fours FROM ustat_reviews WHERE status = 'published'" +
		" UNION ALL SELECT course_id, -review_count, -rating_sum, -ones, -twos, -threes, -fours FROM ustat_review_stats) AS sides" +
		" GROUP BY course_id HAVING sum(n) <> 0 OR sum(sum) <> 0 OR sum(ones) <> 0 OR sum(twos) <> 0 OR sum(threes) <> 0 OR sum(fours) <> 0"},
	{"a course that is listed with other numbers than its reviews have", "SELECT CAST(s.course_id AS TEXT) FROM ustat_course_stats AS s" +
		" JOIN ustat_review_stats AS r ON r.course_id = s.course_id WHERE s.review_count <> r.review_count OR s.rating_sum <> r.rating_sum OR s.rating_version <> r.version" +
		" OR s.rating_rank <> CASE WHEN r.review_count = 0 THEN 0 ELSE (r.rating_sum + 40) * 1000000 / (r.review_count + 10) END"},
	{"a review that counts other votes than it has", "SELECT CAST(id AS TEXT) FROM (SELECT id, helpful AS n FROM ustat_reviews WHERE helpful <> 0" +
		" UNION ALL SELECT review_id, -1 FROM ustat_review_votes) AS sides GROUP BY id HAVING sum(n) <> 0"},
	{"a review that counts other comments than it has", "SELECT CAST(id AS TEXT) FROM (SELECT id, comments AS n FROM ustat_reviews WHERE comments <> 0" +
		" UNION ALL SELECT review_id, -1 FROM ustat_review_comments) AS sides GROUP BY id HAVING sum(n) <> 0"},
	{"a review that counts other reports than wait", "SELECT CAST(id AS TEXT) FROM (SELECT id, reports AS n FROM ustat_reviews WHERE reports <> 0" +
		" UNION ALL SELECT review_id, -1 FROM ustat_review_reports WHERE NOT handled) AS sides GROUP BY id HAVING sum(n) <> 0"},
	{"a coupon that counts other uses than its orders have", "SELECT k.code FROM ustat_coupons AS k LEFT JOIN ustat_orders AS o ON o.coupon = k.code" +
		" AND o.status IN ('pending', 'paid') GROUP BY k.code, k.used HAVING k.used <> count(o.id)"},
	{"a user whose uses of a coupon are other than their orders have", "SELECT u.code FROM ustat_coupon_uses AS u LEFT JOIN ustat_orders AS o ON o.coupon = u.code" +
		" AND o.user_id = u.user_id AND o.status IN ('pending', 'paid') GROUP BY u.code, u.user_id, u.used HAVING u.used <> count(o.id)"},
	{"a paid order whose learner has no right to the course", "SELECT CAST(o.id AS TEXT) FROM ustat_orders AS o LEFT JOIN ustat_entitlements AS e" +
		" ON e.course_id = o.course_id AND e.user_id = o.user_id WHERE o.status = 'paid' AND e.user_id IS NULL"},
	{"a bought right to a course whose order is not paid, or another sum", "SELECT CAST(o.id AS TEXT) FROM ustat_entitlements AS e JOIN ustat_orders AS o ON o.id = e.order_id" +
		" WHERE o.status <> 'paid' OR o.course_id <> e.course_id OR o.user_id <> e.user_id OR o.total_minor <> e.paid_minor OR o.currency <> e.currency"},
	// One that was imported was bought elsewhere, whatever was ordered here and not paid.
	{"a seat that was bought without a right to the course for that sum", "SELECT CAST(n.id AS TEXT) FROM ustat_enrollments AS n LEFT JOIN ustat_entitlements AS e" +
		" ON e.course_id = n.course_id AND e.user_id = n.user_id AND e.source = 'purchase' AND e.paid_minor = n.paid_minor AND e.currency = n.paid_currency" +
		" WHERE n.source = 'purchase' AND n.status IN ('active', 'completed', 'waiting') AND e.user_id IS NULL" +
		" AND EXISTS (SELECT 1 FROM ustat_orders AS o WHERE o.course_id = n.course_id AND o.user_id = n.user_id AND o.status = 'paid')"},
	{"a bought right to a course without an order", "SELECT CAST(user_id AS TEXT) FROM ustat_entitlements WHERE source = 'purchase' AND order_id IS NULL"},
	{"two orders of one user that are paid for one course", "SELECT CAST(min(CAST(id AS TEXT)) AS TEXT) FROM ustat_orders WHERE status = 'paid' GROUP BY course_id, user_id HAVING count(*) > 1"},
	// Who cancels what they have completed may wait for a seat again.
	{"a certificate of a course that was not completed", "SELECT k.code FROM ustat_certificates AS k JOIN ustat_enrollments AS e ON e.id = k.enrollment_id" +
		" WHERE e.completed_at IS NULL OR e.status = 'active'"},
	{"an order that holds a use of a coupon which its user has not taken", "SELECT CAST(o.id AS TEXT) FROM ustat_orders AS o LEFT JOIN ustat_coupon_uses AS u" +
		" ON u.code = o.coupon AND u.user_id = o.user_id WHERE o.coupon IS NOT NULL AND o.status IN ('pending', 'paid') AND u.user_id IS NULL"},
	{"an order that waits for its provider and is not watched", "SELECT CAST(id AS TEXT) FROM ustat_orders WHERE status IN ('pending', 'refunding') AND NOT watched"},
	{"a user with more open orders than there may be", "SELECT CAST(user_id AS TEXT) FROM ustat_orders WHERE watched AND status <> 'refunding'" +
		" GROUP BY user_id HAVING count(*) > " + strconv.Itoa(courses.MaxOpenOrders)},
	{"a bought right to a course without an enrollment", "SELECT CAST(o.id AS TEXT) FROM ustat_orders AS o JOIN ustat_entitlements AS r ON r.order_id = o.id" +
		" LEFT JOIN ustat_enrollments AS n ON n.course_id = o.course_id AND n.user_id = o.user_id WHERE o.status = 'paid' AND n.id IS NULL"},
	// UNION drops what was met before, so that a circle ends it. No more than those that
	// come before a course and behind another are in one.
	{"a course that comes before itself", "WITH RECURSIVE up (course_id, id) AS (SELECT course_id, before_id FROM ustat_prerequisites" +
		" WHERE course_id IN (SELECT before_id FROM ustat_prerequisites)" +
		" UNION SELECT up.course_id, p.before_id FROM ustat_prerequisites AS p JOIN up ON p.course_id = up.id)" +
		" SELECT c.slug FROM up JOIN ustat_courses AS c ON c.id = up.id WHERE up.course_id = up.id ORDER BY c.id"},
	{"a file of a lesson of another course", "SELECT CAST(f.id AS TEXT) FROM ustat_lesson_files AS f JOIN ustat_lessons AS l ON l.id = f.lesson_id WHERE l.course_id <> f.course_id"},
	{"an event without a store, a type, a version or a subject", "SELECT CAST(id AS TEXT) FROM ustat_outbox WHERE store = '' OR type = '' OR version < 1 OR subject = ''"},
}

// verify runs every rule. It is storage.Backend.Verify.
func (d *DB) verify(ctx context.Context) error {
	const most = 3 // rows that are named
	s := session{db: d}
	var broken []error
	for _, r := range rules {
		var rows []string
		if err := s.rawScan(ctx, &rows, r.query+" LIMIT ?", most); err != nil {
			return fmt.Errorf("verify: %s: %w", r.name, err)
		}
		if len(rows) > 0 {
			broken = append(broken, fmt.Errorf("%s: %q", r.name, rows))
		}
	}
	return errors.Join(broken...)
}
