package i18n

import (
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestACatalogueRemembersABoundedNumberOfReaders(t *testing.T) {
	t.Parallel()
	c, err := NewCatalog(nil)
	require.NoError(t, err)
	for i := range 3 * maxKnown {
		header := "ru;q=0." + strconv.Itoa(i%1000) + ",x" + strconv.Itoa(i)
		want := c.match(Sources{Header: header}.wishes())
		require.Equal(t, want, c.Negotiate(Sources{Header: header}).Language)
		require.Equal(t, want, c.Negotiate(Sources{Header: header}).Language, "as it is remembered")
		require.LessOrEqual(t, len(c.known), maxKnown)
	}
	c.Negotiate(Sources{Header: strings.Repeat("ru,", 1<<18), Query: strings.Repeat("a", 1<<20), Saved: strings.Repeat("b", 1<<20)})
	for s := range c.known {
		require.LessOrEqual(t, len(s.Query)+len(s.Saved)+len(s.Header), 2*MaxTag+MaxHeader)
	}
}
