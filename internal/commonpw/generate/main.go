// Command generate writes the list of package commonpw. It takes the path of zxcvbn's
// lib/frequency_lists.js and the path to write to.
package main

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
)

// As package commonpw has them.
const (
	mark    = 0x80
	longest = 20
)

const (
	shortest = 8     // code points of a new password
	least    = 3_000 // words; OWASP ASVS 5.0, 6.2.4
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "generate:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 2 {
		return errors.New("usage: generate frequency_lists.js passwords.frontcoded")
	}
	source, err := os.ReadFile(args[0]) //nolint:gosec // G703: the path is the developer's
	if err != nil {
		return err
	}
	words, err := words(source)
	if err != nil {
		return fmt.Errorf("%s: %w", args[0], err)
	}
	return os.WriteFile(args[1], encode(words), 0o644) //nolint:gosec // G306: a source file, no secret
}

var passwords = regexp.MustCompile(`(?m)^ *passwords: "([^"]*)"\.split\(","\),?$`)

// words returns the passwords of the source that are long enough, sorted, each once.
func words(source []byte) ([]string, error) {
	m := passwords.FindSubmatch(source)
	if m == nil {
		return nil, errors.New("there is no list of passwords")
	}
	all := strings.Split(strings.ReplaceAll(string(m[1]), `\'`, `'`), ",")
	words := slices.DeleteFunc(all, func(w string) bool { return len([]rune(w)) < shortest })
	for _, w := range words {
		if len(w) > longest || strings.ContainsFunc(w, foreign) {
			return nil, fmt.Errorf("package commonpw cannot hold %q", w)
		}
	}
	slices.Sort(words)
	words = slices.Compact(words)
	if len(words) < least {
		return nil, fmt.Errorf("%d passwords are too few", len(words))
	}
	return words, nil
}

// foreign reports whether package commonpw, or this reader of JavaScript, is not made for
// a word with this character.
func foreign(r rune) bool {
	return r <= ' ' || r > '~' || 'A' <= r && r <= 'Z' || r == '\\'
}

// encode returns the words, which are sorted, in the form that the comment of package
// commonpw tells.
func encode(words []string) []byte {
	var out []byte
	before := ""
	for _, w := range words {
		shared := 0
		for shared < min(len(w), len(before)) && w[shared] == before[shared] {
			shared++
		}
		out = append(append(out, byte(mark+shared)), w[shared:]...)
		before = w
	}
	return out
}
