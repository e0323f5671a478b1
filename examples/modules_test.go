package examples_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestHostLinksFewModules lists the modules that a host of auth and mysqlstore links.
//
// ASVS: 11.2.1, 15.1.2, 15.2.3.
func TestHostLinksFewModules(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), "go", "list", "-deps", "-f", "{{with .Module}}{{.Path}}{{end}}",
		"github.com/ostiary/auth", "github.com/ostiary/auth/mysqlstore")
	var problems bytes.Buffer
	cmd.Stderr = &problems
	out, err := cmd.Output()
	require.NoError(t, err, problems.String())
	linked := strings.Fields(string(out))
	slices.Sort(linked)
	linked = slices.Compact(linked)

	golden, err := os.ReadFile(filepath.Join("testdata", "modules.golden"))
	require.NoError(t, err)
	assert.Equal(t, strings.Fields(string(golden)), linked)
	assert.LessOrEqual(t, len(linked), 8)
}
