package blob

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestAProcessThatLivesLongRemovesWhatDeadOnesHaveLeft(t *testing.T) {
	t.Parallel()
	path := t.TempDir()
	d, err := Dir(path, nil)
	require.NoError(t, err)
	left := filepath.Join(path, unfinished+"OLD")
	require.NoError(t, os.WriteFile(left, []byte("x"), 0o600))
	require.NoError(t, os.Chtimes(left, time.Now(), time.Now().Add(-25*time.Hour)))
	put := func() {
		_, err := d.Put(t.Context(), NewKey(CSV), strings.NewReader("x"))
		require.NoError(t, err)
	}
	put()
	require.FileExists(t, left, "the folder is looked through once a day")
	d.tidied.Store(time.Now().Add(-unfinishedFor).Unix())
	put()
	require.NoFileExists(t, left)
}
