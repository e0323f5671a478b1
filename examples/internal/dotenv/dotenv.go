// Package dotenv reads a .env file as Node's package of that name does.
package dotenv

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/subosito/gotenv"
)

// Env is the process's environment with a file's behind it. The zero value is the
// process's alone.
type Env struct {
	file map[string]string
}

// Read reads the file. The error is [os.ErrNotExist] if it is not there, and holds no
// line of it, since it may be a secret.
func Read(path string) (Env, error) {
	text, err := os.ReadFile(path) //nolint:gosec // the file that the user names
	if err != nil {
		return Env{}, fmt.Errorf("dotenv: %w", err)
	}
	file, err := parse(string(text))
	if err != nil {
		return Env{}, fmt.Errorf("dotenv: %s: %w", path, err)
	}
	return Env{file: file}, nil
}

// Get returns the variable from the process's environment, although it may be empty
// there, or else from the file.
func (e Env) Get(name string) string {
	if value, ok := os.LookupEnv(name); ok {
		return value
	}
	return e.file[name]
}

// parse reads with gotenv, which agrees with Node's dotenv about comments, export, quotes
// and line ends, but replaces $NAME, drops backslashes between double quotes, and does
// not know backticks: the first two are escaped before it sees them, the third refused.
func parse(text string) (map[string]string, error) {
	unquoted := strings.NewReplacer(`$`, `\$`)
	quoted := strings.NewReplacer(`\n`, `\n`, `\r`, `\r`, `\`, `\\`, `$`, `\$`)
	var b strings.Builder
	n := 0
	for line := range strings.Lines(text) {
		n++
		name, value, _ := strings.Cut(line, "=")
		switch value = strings.TrimSpace(value); {
		case strings.HasPrefix(strings.TrimSpace(name), "#"):
			b.WriteString("\n")
		case strings.HasPrefix(value, "'"):
			b.WriteString(line)
		case strings.HasPrefix(value, `"`):
			b.WriteString(quoted.Replace(line))
		case strings.HasPrefix(value, "`"):
			return nil, fmt.Errorf("line %d: backticks are not supported, write single or double quotes", n)
		default:
			b.WriteString(unquoted.Replace(line))
		}
	}
	file, err := gotenv.StrictParse(strings.NewReader(b.String()))
	if err != nil {
		return nil, errors.New("there is a line that is no NAME=value, or a quote that does not end")
	}
	return file, nil
}
