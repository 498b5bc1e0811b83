package fault_test

import (
	"bytes"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat/internal/fault"
)

const root = "../.."

// hit is how a point is placed. Points with other than a constant name are not
// found by it, and then fail the worker of killtest.
var hit = regexp.MustCompile(`fault\.Hit\(([^)]*)\)`)

func TestEveryPointIsPlacedOnceAndListed(t *testing.T) {
	t.Parallel()
	placed := map[string]int{}
	require.NoError(t, filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") || strings.Contains(path, "internal/fault/") {
			return err
		}
		text, err := os.ReadFile(path)
		for _, found := range hit.FindAllSubmatch(text, -1) {
			placed[strings.Trim(string(found[1]), `"`)]++
		}
		return err
	}))
	listed := map[string]int{}
	for _, point := range fault.Points {
		listed[point] = 1
		require.Len(t, strings.Split(point, "."), 3, "%s is not <package>.<operation>.<where>", point)
	}
	require.Equal(t, listed, placed)
}

// TestNothingIsLeftInANormalBuild looks for the names of the points in a program:
// an empty Hit that is inlined takes its argument with it.
func TestNothingIsLeftInANormalBuild(t *testing.T) {
	t.Parallel()
	build := func(tags string) []byte {
		path := filepath.Join(t.TempDir(), "embed")
		out, err := exec.Command("go", "build", "-tags", tags, "-o", path, root+"/examples/embed").CombinedOutput()
		require.NoError(t, err, "%s", out)
		program, err := os.ReadFile(path)
		require.NoError(t, err)
		return program
	}
	normal, faulty := build(""), build("ustat_fault")
	for _, point := range fault.Points {
		require.False(t, bytes.Contains(normal, []byte(point)), "%s is in a normal build", point)
		require.True(t, bytes.Contains(faulty, []byte(point)), "%s is missing with the tag: this test sees nothing", point)
	}
	require.False(t, bytes.Contains(normal, []byte("internal/fault.Hit")))
}

func TestAPlanIsReadAsItIsWritten(t *testing.T) {
	t.Parallel()
	plan := fault.Plan{Point: fault.Points[0], Mode: fault.Kill, Nth: 3}
	again, err := fault.Parse(plan.String())
	require.NoError(t, err)
	require.Equal(t, plan.String(), again.String())
	first, err := fault.Parse(fault.Points[0] + ":error")
	require.NoError(t, err)
	require.Equal(t, fault.Error, first.Mode)
	for _, bad := range []string{"", "x", "x:kill", fault.Points[0] + ":explode", fault.Points[0] + ":kill:0", fault.Points[0] + ":kill:1:2"} {
		_, err := fault.Parse(bad)
		require.Error(t, err, bad)
	}
}

func TestANormalBuildRefusesToArm(t *testing.T) {
	t.Parallel()
	if fault.Enabled {
		t.Skip("built with the tag ustat_fault")
	}
	require.Error(t, fault.Arm(fault.Plan{Point: fault.Points[0], Mode: fault.Error}))
	require.NoError(t, fault.Hit(fault.Points[0]))
	require.Empty(t, fault.Disarm())
}
