package mysqltest

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
)

// dieWithParent has the kernel kill the child when the thread that starts it ends.
func dieWithParent(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}

// runAs has the child run as another user. A server that changed its user by itself would
// outlive this process: the kernel forgets dieWithParent then.
func runAs(cmd *exec.Cmd, uid, gid int) {
	cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)} //nolint:gosec // of the list of users
}

// lockDir marks the folder as in use until the file is closed or this process ends. The
// mark is locked before it gets its name, so whoever sees it unlocked may remove the
// folder.
func lockDir(dir string) (*os.File, error) {
	unnamed := filepath.Join(dir, "unlocked")
	f, err := os.Create(unnamed) //nolint:gosec // in a folder of ours
	if err != nil {
		return nil, err
	}
	if err = flock(f); err == nil {
		err = os.Rename(unnamed, filepath.Join(dir, "lock"))
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

// removeOrphans removes the folders of test binaries that were killed. One that cannot
// be removed, another user's for instance, is left alone.
func removeOrphans() {
	locks, _ := filepath.Glob(filepath.Join(os.TempDir(), dirPrefix+"*", "lock"))
	for _, name := range locks {
		f, err := os.OpenFile(name, os.O_RDWR, 0) //nolint:gosec // a name of ours
		if err != nil {
			continue
		}
		if flock(f) == nil {
			_ = os.RemoveAll(filepath.Dir(name))
		}
		_ = f.Close()
	}
}

// flock locks the file, or fails at once if another process has.
func flock(f *os.File) error {
	return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
}
