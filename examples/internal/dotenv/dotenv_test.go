package dotenv_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ostiary/auth/examples/internal/dotenv"
)

// read writes the text to a file and reads it.
func read(tb testing.TB, text string) (dotenv.Env, error) {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), ".env")
	require.NoError(tb, os.WriteFile(path, []byte(text), 0o600))
	return dotenv.Read(path)
}

// TestRead has the results of Node's dotenv 17.
func TestRead(t *testing.T) {
	for text, want := range map[string]string{
		"K=1200 # In seconds (1200 = 20 minutes)\n": "1200",
		"K= #add your DB password here\n":           "",
		"K= #add your DB password here":             "",
		"K=#comment\nL=x":                           "",
		"K=\nL=x":                                   "",
		"K=":                                        "",
		"K= # comment\r\nL=x\r\n":                   "",
		"\r\n\r\nK=a\r\nL=x\r\n":                    "a",
		"export K=a":                                "a",
		" K = a b  ":                                "a b",
		"K=a\nK=b":                                  "b",
		"\n# K=`no`\n  #K=no\nK=a\n":                "a",
		"\ufeffK=a":                                 "a",
		"K: a":                                      "a",
		"K=a=b==":                                   "a=b==",
		"K=x+y/z==\n":                               "x+y/z==",
		"K=a#b":                                     "a",
		"K='a#b' # comment":                         "a#b",
		`K="a # b" # comment`:                       "a # b",
		"K=''":                                      "",
		`K=""`:                                      "",
		"K='  a  '":                                 "  a  ",
		"K=it's":                                    "it's",
		"K=naïve café # comment":                    "naïve café",
		"K=p@ss!w&rd%^*()":                          "p@ss!w&rd%^*()",
		"K=a$HOME":                                  "a$HOME",
		"K=a${HOME}b$1":                             "a${HOME}b$1",
		`K=a\$HOME\b`:                               `a\$HOME\b`,
		"K='a$HOME'":                                "a$HOME",
		`K="a$HOME"`:                                "a$HOME",
		`K="a\$HOME"`:                               `a\$HOME`,
		`K="a\nb\rc"`:                               "a\nb\rc",
		`K="a\tb\\c\"d"`:                            `a\tb\\c\"d`,
		`K='a\nb'`:                                  `a\nb`,
		"K=\"a\nb\"":                                "a\nb",
		"K: 'a$b'":                                  "a$b",
		`K: "a$b"`:                                  "a$b",
		"K='a\n$b'":                                 "a\n$b",
		"K=\"a\n#x\n$b\"\nL=1":                      "a\n#x\n$b",
		"K=\"a\nL=1\nb\"":                           "a\nL=1\nb",
		"nonsense\nK=a\nJ K=b\nL-M=1\n":             "a",
		"K=a\nnonsense: x y = z\n":                  "a",
	} {
		env, err := read(t, text)
		if assert.NoError(t, err, "%q", text) {
			assert.Equal(t, want, env.Get("K"), "%q", text)
		}
	}
}

func TestRefused(t *testing.T) {
	for text, says := range map[string]string{
		"L=x\nK=`a b`":       "line 2: backticks",
		"K=\"secret\nL=1":    "a quote that does not end",
		"K='secret' secret'": "",
	} {
		_, err := read(t, text)
		if says == "" {
			assert.NoError(t, err)
			continue
		}
		require.ErrorContains(t, err, says, "%q", text)
		assert.NotContains(t, err.Error(), "secret")
	}
}

func TestNoFile(t *testing.T) {
	_, err := dotenv.Read(filepath.Join(t.TempDir(), "missing"))
	assert.ErrorIs(t, err, os.ErrNotExist)
}

func TestProcessWins(t *testing.T) {
	t.Setenv("DOTENV_TEST_SET", "process")
	t.Setenv("DOTENV_TEST_EMPTY", "")
	env, err := read(t, "DOTENV_TEST_SET=file\nDOTENV_TEST_EMPTY=file\nDOTENV_TEST_FILE=file\n")
	require.NoError(t, err)
	assert.Equal(t, "process", env.Get("DOTENV_TEST_SET"))
	assert.Empty(t, env.Get("DOTENV_TEST_EMPTY"), "set and empty is set")
	assert.Equal(t, "file", env.Get("DOTENV_TEST_FILE"))
	assert.Empty(t, env.Get("DOTENV_TEST_NONE"))
	_, set := os.LookupEnv("DOTENV_TEST_FILE")
	assert.False(t, set, "the process's environment was changed")

	assert.Equal(t, "process", dotenv.Env{}.Get("DOTENV_TEST_SET"))
}

// FuzzRead writes a value between single quotes, where it stands for itself, and any text
// after it.
func FuzzRead(f *testing.F) {
	f.Add("a$HOME#b", "L=x")
	f.Add(`\n"`, "# comment")
	f.Add("", "L=\"\n")
	f.Add(" ", "`")
	f.Fuzz(func(t *testing.T, value, rest string) {
		_, _ = read(t, rest)
		if strings.ContainsAny(value, "'\r\n") || strings.HasSuffix(value, `\`) || !strings.HasPrefix(rest, "L=") || strings.ContainsAny(rest, "K'\"`\r\n") {
			return
		}
		env, err := read(t, "K='"+value+"'\n"+rest)
		if err == nil {
			assert.Equal(t, value, env.Get("K"))
		}
	})
}
