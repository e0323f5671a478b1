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

// others are the lists beside that of passwords, which lacks what stands in one of them
// with a better rank: names and words, many of them common passwords. ranks is how many of
// each are taken.
var others = [...]string{"english_wikipedia", "us_tv_and_film", "female_names", "male_names", "surnames"} //nolint:gochecknoglobals // a table of constants

const ranks = 10_000

// words returns the passwords of the source that are long enough, and the first ranks of
// the names and words that are, sorted, each once.
func words(source []byte) ([]string, error) {
	words, err := listOf(source, "passwords")
	if err != nil {
		return nil, err
	}
	for _, w := range words {
		if !holds(w) {
			return nil, fmt.Errorf("package commonpw cannot hold %q", w)
		}
	}
	for _, name := range others {
		list, err := listOf(source, name)
		if err != nil {
			return nil, err
		}
		list = list[:min(ranks, len(list))]
		words = append(words, slices.DeleteFunc(list, func(w string) bool { return !holds(w) })...)
	}
	words = slices.DeleteFunc(words, func(w string) bool { return len([]rune(w)) < shortest })
	slices.Sort(words)
	words = slices.Compact(words)
	if len(words) < least {
		return nil, fmt.Errorf("%d passwords are too few", len(words))
	}
	return words, nil
}

func listOf(source []byte, name string) ([]string, error) {
	m := regexp.MustCompile(`(?m)^ *` + name + `: "([^"]*)"\.split\(","\),?$`).FindSubmatch(source)
	if m == nil {
		return nil, fmt.Errorf("there is no list of %s", name)
	}
	return strings.Split(strings.ReplaceAll(string(m[1]), `\'`, `'`), ","), nil
}

// holds reports whether package commonpw can hold a word; it leaves the short ones out.
func holds(w string) bool { return len(w) <= longest && !strings.ContainsFunc(w, foreign) }

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
