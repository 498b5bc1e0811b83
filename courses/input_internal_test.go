package courses

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat/core"
)

func TestAnErrorWithoutViolationsIsNotLost(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	for _, fault := range []error{core.ErrInternal.Because(broken), broken} {
		bad := new(checks)
		bad.unknown("tags[0]", "x", "tag")
		bad.addAll(fault)
		require.ErrorIs(t, bad.err(), broken)
		bad = new(checks)
		bad.addText("description", fault)
		require.ErrorIs(t, bad.err(), broken)
	}
	bad := new(checks)
	require.NoError(t, bad.err())
	bad.addText("description", core.Invalid("text", "marks", "1", "2", "too many"))
	e, ok := errors.AsType[*core.Error](bad.err())
	require.True(t, ok)
	require.Equal(t, "description", e.Violations[0].Field)
}
