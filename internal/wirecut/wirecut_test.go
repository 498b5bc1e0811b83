package wirecut_test

import (
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat/internal/pgtest"
	"github.com/ustat/ustat/internal/wirecut"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

func connect(t *testing.T, dsn string) *pgx.Conn {
	t.Helper()
	config, err := pgx.ParseConfig(dsn)
	require.NoError(t, err)
	config.DefaultQueryExecMode = pgx.QueryExecModeSimpleProtocol
	conn, err := pgx.ConnectConfig(t.Context(), config)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(t.Context()) })
	return conn
}

func TestWithoutACutEverythingPasses(t *testing.T) {
	t.Parallel()
	proxy := wirecut.Start(t, pgtest.DSN(t))
	conn := connect(t, proxy.DSN())
	proxy.Arm(wirecut.Frontend, 0)
	_, err := conn.Exec(t.Context(), "SELECT 1")
	require.NoError(t, err)
	require.False(t, proxy.Cut())
	require.Equal(t, []wirecut.Message{
		{Side: wirecut.Frontend, Type: 'Q', Text: "SELECT 1", Nth: 1},
		{Side: wirecut.Backend, Type: 'T', Nth: 1},
		{Side: wirecut.Backend, Type: 'D', Nth: 2},
		{Side: wirecut.Backend, Type: 'C', Text: "SELECT 1", Nth: 3},
		{Side: wirecut.Backend, Type: 'Z', Nth: 4},
	}, proxy.Messages())
}

// TestTheServerHasWhatPassedBeforeTheCut cuts a statement that writes at each of
// its messages: the server has always done it, and whoever sent it knows only where
// the answer was whole.
func TestTheServerHasWhatPassedBeforeTheCut(t *testing.T) {
	t.Parallel()
	dsn := pgtest.DSN(t)
	direct, proxy := connect(t, dsn), wirecut.Start(t, dsn)
	_, err := direct.Exec(t.Context(), "CREATE TABLE t (n int)")
	require.NoError(t, err)
	for n, cut := range []struct {
		side wirecut.Side
		nth  int
		lost bool
	}{{wirecut.Frontend, 1, true}, {wirecut.Backend, 1, true}, {wirecut.Backend, 2, false}} {
		conn := connect(t, proxy.DSN())
		proxy.Arm(cut.side, cut.nth)
		_, err := conn.Exec(t.Context(), "INSERT INTO t VALUES (0)")
		require.Equal(t, cut.lost, err != nil, "%v: %v", cut, err)
		require.True(t, proxy.Cut())
		var rows int
		require.NoError(t, direct.QueryRow(t.Context(), "SELECT count(*) FROM t").Scan(&rows))
		require.Equal(t, n+1, rows)
		_, err = conn.Exec(t.Context(), "SELECT 1")
		require.Error(t, err, "the connection is gone")
	}
}
