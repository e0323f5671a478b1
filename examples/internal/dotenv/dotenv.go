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
// and line ends, but replaces $NAME, drops backslashes between double quotes, refuses
// lines that are no assignment, and does not know backticks: the first two are escaped
// before it sees them, the third left out, as Node does, and the last refused. Names with
// a hyphen are left out too.
func parse(text string) (map[string]string, error) {
	var b strings.Builder
	var open string // the quote in which the line begins, or ""
	n := 0
	for line := range strings.Lines(text) {
		n++
		if open != "" {
			b.WriteString(escape(open, line))
			if strings.Contains(line, open) {
				open = ""
			}
			continue
		}
		at := strings.IndexAny(line, "=:")
		if at < 0 || !isName(line[:at]) {
			b.WriteString("\n")
			continue
		}
		value := strings.TrimSpace(line[at+1:])
		quote := value[:min(1, len(value))]
		switch quote {
		case "`":
			return nil, fmt.Errorf("line %d: backticks are not supported, write single or double quotes", n)
		case "'", `"`:
			if !strings.Contains(value[1:], quote) {
				open = quote
			}
		default:
			quote = ""
		}
		b.WriteString(line[:at+1] + escape(quote, line[at+1:]))
	}
	file, err := gotenv.StrictParse(strings.NewReader(b.String()))
	if err != nil {
		return nil, errors.New("there is a quote that does not end, or a line that is no NAME=value")
	}
	return file, nil
}

// escape makes gotenv read the text as it stands, between quotes of that kind.
func escape(quote, text string) string {
	switch quote {
	case "'":
		return text
	case `"`:
		return strings.NewReplacer(`\n`, `\n`, `\r`, `\r`, `\`, `\\`, `$`, `\$`).Replace(text)
	default:
		return strings.ReplaceAll(text, `$`, `\$`)
	}
}

// isName says whether a line's beginning is the name of a variable.
func isName(s string) bool {
	s = strings.TrimPrefix(strings.TrimSpace(strings.TrimPrefix(s, "\ufeff")), "export ")
	s = strings.TrimSpace(s)
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '_' && r != '.'
	})
}
