package tasks_test

import (
	"testing"

	"github.com/ustat/ustat/tasks"
	"github.com/ustat/ustat/tasks/taskstest"
)

func TestMemoryConforms(t *testing.T) {
	t.Parallel()
	taskstest.Run(t, func(*testing.T) func() tasks.Queue {
		q := tasks.NewMemory(nil)
		return func() tasks.Queue { return q }
	}, false)
}
