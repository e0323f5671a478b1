//go:build !linux

package mysqltest

import (
	"os"
	"os/exec"
)

// Only Linux cleans up after a test binary that was killed.

func dieWithParent(*exec.Cmd) {}

func runAs(*exec.Cmd, int, int) {}

func lockDir(string) (*os.File, error) { return nil, nil } //nolint:nilnil // the nil *os.File can be closed

func removeOrphans() {}
