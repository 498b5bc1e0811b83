package httpapi_test

import (
	"bufio"
	"bytes"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat/courses"
	"github.com/ustat/ustat/httpapi"
)

// rule is a line of policy.txt.
type rule struct {
	line      int
	operation string
	state     string
	statuses  []int // by principal
}

func readPolicy(t *testing.T) []rule {
	t.Helper()
	f, err := os.Open("testdata/policy.txt")
	require.NoError(t, err)
	defer f.Close()
	var rules []rule
	lines := bufio.NewScanner(f)
	for n := 1; lines.Scan(); n++ {
		fields := strings.Fields(lines.Text())
		if len(fields) == 0 || fields[0] == "#" {
			continue
		}
		require.Len(t, fields, 2+len(principals), "policy.txt:%d", n)
		r := rule{line: n, operation: fields[0], state: fields[1]}
		for _, field := range fields[2:] {
			status, err := strconv.Atoi(field)
			require.NoError(t, err, "policy.txt:%d", n)
			r.statuses = append(r.statuses, status)
		}
		rules = append(rules, r)
	}
	require.NoError(t, lines.Err())
	return rules
}

// TestThePolicyFileHasEveryOperation keeps an operation from being added without
// somebody deciding who may do it.
func TestThePolicyFileHasEveryOperation(t *testing.T) {
	t.Parallel()
	states := map[string][]string{}
	for _, r := range readPolicy(t) {
		states[r.operation] = append(states[r.operation], r.state)
	}
	operations := map[string]bool{}
	for _, op := range httpapi.Operations() {
		operations[op.ID] = true
		given := strings.Join(states[op.ID], " ")
		if strings.Contains(op.Path, "/courses/{slug}/") {
			assert.Equal(t, "draft review published archived", given, "policy.txt says nothing of %s (%s %s) in each status", op.ID, op.Method, op.Path)
		} else {
			assert.NotEmpty(t, given, "policy.txt has no line for %s (%s %s)", op.ID, op.Method, op.Path)
		}
	}
	for operation := range states {
		assert.True(t, operations[operation], "policy.txt has %s, which is no operation", operation)
	}
}

// TestWhoMayDoWhat tries every operation as every principal on a course in every
// status, and holds the answers to policy.txt, on both engines.
func TestWhoMayDoWhat(t *testing.T) {
	t.Parallel()
	rules := readPolicy(t)
	methods := map[string]string{}
	for _, op := range httpapi.Operations() {
		methods[op.ID] = op.Method
	}
	documented := documentedStatuses(t)
	for engine, open := range engines() {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, open)
			for _, r := range rules {
				w.hold(r, methods[r.operation], documented[r.operation])
			}
		})
	}
}

// documentedStatuses returns the statuses that the document gives each operation.
func documentedStatuses(t *testing.T) map[string]map[string]any {
	t.Helper()
	document, err := httpapi.OpenAPI("v1")
	require.NoError(t, err)
	doc := decode(t, bytes.NewReader(document))
	statuses := map[string]map[string]any{}
	for _, op := range httpapi.Operations() {
		statuses[op.ID] = at(t, doc, "paths", op.Path, strings.ToLower(op.Method), "responses")
	}
	return statuses
}

// hold tries one line of the policy.
func (w *world) hold(r rule, method string, documented map[string]any) {
	w.t.Helper()
	build := requests[r.operation]
	switch r.operation {
	case "healthz", "readyz":
		build = fixed("/"+r.operation, nil)
	case "courses-list":
		build = fixed("/courses/?status="+r.state, nil)
	case "courses-search":
		build = fixed("/courses/search/?q=course&status="+r.state, nil)
	}
	require.NotNil(w.t, build, "there is no request for %s", r.operation)
	var s subject
	for i, who := range principals {
		if r.state != "-" && s.slug == "" && strings.Contains(build(w, subject{slug: "x"}).path, "/courses/x/") {
			s = w.course(courses.Status(r.state))
		}
		q := build(w, s)
		answer := w.ask(who, method, q.path, q.body, "Accept-Language", "ru")
		assertRussian(w.t, answer)
		assert.Equal(w.t, r.statuses[i], answer.Code, "policy.txt:%d: %s %s by %s, state %s: %s", r.line, method, q.path, who, r.state, answer.Body)
		assert.Contains(w.t, documented, strconv.Itoa(answer.Code), "the document does not say that %s answers so", r.operation)
		if method != http.MethodGet && answer.Code < 300 {
			s = subject{} // it was changed: the next one gets a new course
		}
	}
}

// TestFlagsCannotBeSetByTheWay tries every field that some entity has, and that an
// operation does not take, in the body of that operation: as it is, in capitals,
// twice and nested. Each is refused and changes nothing in the database.
func TestFlagsCannotBeSetByTheWay(t *testing.T) {
	t.Parallel()
	flags := []string{
		"role", "rating", "average_rating", "review_count", "student_count", "status", "teacher", "verified", "email_verified", "active", "is_staff",
		"password_hash", "auth_version", "version", "id", "user_id", "created_at", "updated_at", "published_at", "last_login", "rejection_reason",
		"locked", "course_count", "stats", "slug", "username", "position", "module", "price_minor", "text_policy",
	}
	for engine, open := range engines() {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, open)
			s := w.course(courses.Draft)
			tried := 0
			for _, op := range httpapi.Operations() {
				build := requests[op.ID]
				if op.Method == http.MethodGet || build == nil || op.ID == "payments-webhook" { // its body is the provider's own
					continue
				}
				q := build(w, s)
				base, isJSON := q.body.(object)
				if q.body != nil && !isJSON {
					continue // a file is taken as it is
				}
				taken := fieldsOf(t, op)
				before := w.snapshot()
				for _, flag := range flags {
					for _, body := range w.smuggled(base, flag, taken) {
						tried++
						answer := w.ask("admin", op.Method, q.path, body)
						require.Equal(t, http.StatusUnprocessableEntity, answer.Code, "%s %s with %s: %s", op.Method, q.path, body, answer.Body)
					}
				}
				require.Equal(t, before, w.snapshot(), "%s has changed something", op.ID)
			}
			t.Logf("%d bodies were refused", tried)
		})
	}
}

// smuggled returns the bodies that try to bring a field along.
func (w *world) smuggled(base object, flag string, taken map[string]bool) []string {
	body := func(extra string) string {
		text := strings.TrimSuffix(encode(w.t, base), "}")
		if len(base) > 0 {
			text += ","
		}
		return text + extra + "}"
	}
	var out []string
	if !taken[flag] {
		out = append(out, body(fmt.Sprintf("%q:%q", flag, "admin")), body(fmt.Sprintf("%q:1,%q:2", flag, flag)))
	} else if value, ok := base[flag]; ok {
		out = append(out, body(fmt.Sprintf("%q:%s", flag, encode(w.t, value)))) // the second one
	}
	out = append(out, body(fmt.Sprintf("%q:1", strings.ToUpper(flag))), body(fmt.Sprintf("%q:{%q:1}", "data", flag)))
	return out
}
