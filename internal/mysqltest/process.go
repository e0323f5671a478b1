package mysqltest

import (
	"os/exec"
	"runtime"
)

// process is a running child. The nil *process is one that was never started.
type process struct {
	cmd  *exec.Cmd
	gone chan struct{} // closed when it has ended
}

// startProcess starts a child that does not outlive this process, even a killed one.
// Linux ends it when the thread that started it ends, so one thread stays for it.
func startProcess(path string, args []string) (*process, error) {
	cmd := exec.Command(path, args...) //nolint:gosec,noctx // a server that was found here; kill ends it
	dieWithParent(cmd)
	return startCommand(cmd)
}

func startCommand(cmd *exec.Cmd) (*process, error) {
	p := &process{cmd: cmd, gone: make(chan struct{})}
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait()
			close(p.gone)
		}
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return p, nil
}

// kill ends the child at once and returns when it is gone.
func (p *process) kill() {
	if p == nil {
		return
	}
	_ = p.cmd.Process.Kill() // it may have ended already
	<-p.gone
}
