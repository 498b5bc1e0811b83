package sqlstore

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestALoggedStatementHoldsNoValue(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ query, want string }{
		{"SELECT * FROM t WHERE a = 'it''s x@y.z' AND b = -12.5 AND c1 = 7", "SELECT * FROM t WHERE a = ? AND b = -? AND c1 = ?"},
		{"INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, 'c')", "INSERT INTO t VALUES (?)"},
		{"SELECT 1 FROM t WHERE id IN (1, 2, 3) LIMIT 21", "SELECT ? FROM t WHERE id IN (?) LIMIT ?"},
		{"FROM (VALUES (1::bigint, 'x'::tsvector), (2::bigint, 'y'::tsvector)) AS v", "FROM (VALUES (?::bigint, ?::tsvector)) AS v"},
		{"SELECT 'unclosed secret", "SELECT ?"},
	} {
		require.Equal(t, c.want, withoutValues(c.query))
	}
	require.Less(t, len(withoutValues("SELECT "+strings.Repeat("x, ", 5000))), 2100)
	require.Equal(t, "INSERT", queryType("insert into t"))
	require.Equal(t, "OTHER", queryType("; drop"))
}
