package mysqltest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
)

// initSQL lets root in from 127.0.0.1 without a name server's help. MariaDB's tables
// have that user from the start.
const initSQL = `CREATE USER IF NOT EXISTS root@'127.0.0.1';
GRANT ALL ON *.* TO root@'127.0.0.1' WITH GRANT OPTION;
`

// The places of a server's files in its folder.
const (
	dataDir  = "data"
	initFile = "init.sql"
)

// install makes a server's data in its folder, with a user root who has no password.
func (p program) install(dir string) error {
	data := filepath.Join(dir, dataDir)
	if err := os.Mkdir(data, 0o700); err != nil {
		return err
	}
	args := append([]string{"--no-defaults", "--datadir=" + data, "--tmpdir=" + dir}, asRoot()...)
	var script []byte
	if p.mariadb {
		var err error
		if script, err = p.systemTables(); err != nil {
			return err
		}
		args = append(args, "--bootstrap", "--silent-startup", "--innodb-log-file-size=8M")
	} else {
		args = append(args, "--initialize-insecure", "--skip-log-bin", "--loose-innodb-redo-log-capacity=16M", "--secure-file-priv=NULL")
		if err := os.WriteFile(filepath.Join(dir, initFile), []byte(initSQL), 0o600); err != nil {
			return err
		}
	}
	cmd := exec.CommandContext(context.Background(), p.path, args...) //nolint:gosec // a server that was found here
	cmd.Stdin = bytes.NewReader(script)
	dieWithParent(cmd)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("mysqltest: %s cannot make its data: %w\n%s", p.path, err, out)
	}
	return nil
}

// arguments is the command line of a server whose data install made in the folder.
func (p program) arguments(dir, log string, port int, id uint32, flags []string) []string {
	args := append([]string{"--no-defaults", "--datadir=" + filepath.Join(dir, dataDir)}, asRoot()...)
	args = append(args,
		"--tmpdir="+dir, // a server that starts removes the temporary tables it finds, those of its neighbors too
		"--bind-address=127.0.0.1",
		"--port="+strconv.Itoa(port),
		"--socket=socket", // below the data folder: the path of a socket has to be short
		"--pid-file="+filepath.Join(dir, "pid"),
		"--log-error="+log,
		"--server-id="+strconv.FormatUint(uint64(id), 10),
		"--skip-name-resolve",
		"--max-connections=300",
		"--character-set-server=utf8mb4",
		"--collation-server="+collation,
		"--innodb-buffer-pool-size=64M",
		"--innodb-flush-log-at-trx-commit=0",
	)
	if p.mariadb {
		args = append(args, "--innodb-log-file-size=8M")
	} else {
		args = append(args, "--mysqlx=OFF", "--skip-log-bin", "--loose-innodb-redo-log-capacity=16M",
			"--performance-schema=OFF", "--secure-file-priv=NULL", "--init-file="+filepath.Join(dir, initFile))
	}
	return append(args, flags...)
}

// systemTables is the script that fills a new data folder of MariaDB's.
func (p program) systemTables() ([]byte, error) {
	share, err := p.share()
	if err != nil {
		return nil, err
	}
	script := []byte("CREATE DATABASE mysql;\nUSE mysql;\nSET @auth_root_socket=NULL;\n")
	for _, name := range []string{"system_tables", "performance_tables", "system_tables_data"} {
		files, err := filepath.Glob(filepath.Join(share, "m*_"+name+".sql")) // mysql_ or, since 11, mariadb_
		if err != nil || len(files) == 0 {
			return nil, fmt.Errorf("mysqltest: %s has no file m*_%s.sql", share, name)
		}
		text, err := os.ReadFile(files[0])
		if err != nil {
			return nil, err
		}
		script = append(script, text...)
	}
	return script, nil
}

// share is the folder of MariaDB's scripts: beside the program's own folder, or below it
// where make test unpacked a server.
func (p program) share() (string, error) {
	path, err := filepath.EvalSymlinks(p.path)
	if err != nil {
		return "", err
	}
	dir := filepath.Dir(path)
	for _, prefix := range []string{filepath.Join(dir, "root", "usr"), filepath.Dir(dir)} {
		for _, name := range []string{"mysql", "mariadb"} {
			share := filepath.Join(prefix, "share", name)
			if files, _ := filepath.Glob(filepath.Join(share, "m*_system_tables.sql")); len(files) > 0 {
				return share, nil
			}
		}
	}
	return "", errors.New("mysqltest: no scripts of MariaDB's system tables belong to " + path)
}

// asRoot is the flag without which the servers refuse to run as root.
func asRoot() []string {
	if os.Getuid() == 0 {
		return []string{"--user=root"}
	}
	return nil
}
