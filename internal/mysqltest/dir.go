package mysqltest

import (
	"fmt"
	"os"
)

const dirPrefix = "ostiary-auth-mysqltest-"

// workDir is the temporary folder of one server. The zero value is none.
type workDir struct {
	path string
	lock *os.File
}

func newWorkDir() (workDir, error) {
	removeOrphans()
	path, err := os.MkdirTemp("", dirPrefix)
	if err != nil {
		return workDir{}, fmt.Errorf("mysqltest: %w", err)
	}
	lock, err := lockDir(path)
	if err != nil {
		_ = os.RemoveAll(path)
		return workDir{}, fmt.Errorf("mysqltest: %w", err)
	}
	return workDir{path: path, lock: lock}, nil
}

func (d workDir) remove() error {
	if d.path == "" {
		return nil
	}
	_ = d.lock.Close()
	if err := os.RemoveAll(d.path); err != nil {
		return fmt.Errorf("mysqltest: %w", err)
	}
	return nil
}
