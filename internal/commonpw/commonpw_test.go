package commonpw_test

import (
	"crypto/sha256"
	"encoding/hex"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ostiary/auth/internal/commonpw"
)

// words reads the whole list, by the form that the package's comment tells.
func words(t *testing.T) []string {
	t.Helper()
	var words []string
	var word []byte
	for i := range len(commonpw.List) {
		b := commonpw.List[i]
		if b < 0x80 {
			word = append(word, b)
			continue
		}
		if i > 0 {
			words = append(words, string(word))
		}
		require.LessOrEqual(t, int(b-0x80), len(word))
		word = word[:b-0x80]
	}
	return append(words, string(word))
}

// The list is every password of zxcvbn's that has at least 8 characters, and so are the
// first 10,000 of each other list. The digest is of what node prints for: const l =
// require("./frequency_lists"), s = new Set(l.passwords); for (const n of Object.keys(l)) if
// (n != "passwords") for (const w of l[n].slice(0, 10000)) if (/^[!-~]{1,20}$/.test(w) &&
// !/[A-Z\\]/.test(w)) s.add(w); console.log([...s].filter(p => p.length >= 8).sort().join("\n"))
//
// ASVS: 6.2.4.
func TestListIsZxcvbns(t *testing.T) {
	all := words(t)
	assert.Len(t, all, 24_738)
	assert.True(t, slices.IsSorted(all))
	digest := sha256.Sum256([]byte(strings.Join(all, "\n") + "\n"))
	assert.Equal(t, "ea16b942328eac969fca131591adf6b3c26287158ed04d7a28263d352ab690c0", hex.EncodeToString(digest[:]))
	for _, w := range all {
		assert.True(t, len(w) >= 8 && len(w) <= 20, w)
		assert.NotContains(t, w, "\n")
	}
}

// ASVS: 6.2.4.
func TestHasEveryWord(t *testing.T) {
	for _, w := range words(t) {
		require.True(t, commonpw.Has(w), w)
		require.True(t, commonpw.Has(strings.ToUpper(w)), w)
		require.True(t, commonpw.Has(strings.ToUpper(w[:1])+w[1:]), w)
	}
}

// Some of each rank, among them the first 10 and the 3,000th.
//
// ASVS: 6.2.4.
func TestHasWordsOfEveryRank(t *testing.T) {
	for _, w := range []string{
		"01011983", "01091989", "11234567", "12345678", "123456789", "1234567890", "1basebal", "1qaz2wsx",
		"5wr2i7h8", "alphaman", "apocalyp", "aspirant", "baseball", "bigboy12", "bigdaddy", "black123",
		"blueball", "bonehead", "buckeyes", "carefree", "culinary", "devilmaycry", "dolphins", "felicidade",
		"football", "ghbdtndctv", "goldstar", "greyhoun", "hellyeah", "holiday1", "insomnia", "monique1",
		"nintendo", "palladin", "passw0rd", "password", "peekaboo", "penguins", "pinkfloy", "priscill",
		"qwertyuiop", "rockstar", "samantha", "spitfire", "sundevil", "superman", "swetlana", "trustno1",
		"ultraman", "youandme",
		"jennifer", "michelle", "elizabeth", "business", "december", "alexander", "williams", // words and names
		"PASSWORD", "PassWord", "Qwertyuiop", "tRuStNo1", "Q1W2E3R4T5Y6U7I8O9P0",
		"slip\u212Anot", // KELVIN SIGN, whose lower case is k
	} {
		assert.True(t, commonpw.Has(w), w)
	}
}

func TestHasNothingElse(t *testing.T) {
	for _, p := range []string{
		"", "\x00", "\xff", "!", "~~~~~~~~", "zzzzzzzzz", "123456", "qwerty", "passwor", "passwordpasswor", "password ",
		" password", "pass word", "password\x00", "password\n", "pässword", "pa\u017Fsword", "ｐａｓｓｗｏｒｄ", "password\u0301",
		"correct horse battery staple", "correct horse", "q1w2e3r4t5y6u7i8o9p0a", "123456789009876543210",
		strings.Repeat("a", 1<<20), strings.Repeat("password", 1000), "\x80assword", "p\x80ssword", "пароль123", "🔑🔑🔑🔑🔑🔑🔑🔑",
	} {
		assert.False(t, commonpw.Has(p), "%.40q", p)
	}
}

// What differs from a word by one byte is in the list if it is a word itself, and else not.
func TestHasNoNeighbors(t *testing.T) {
	all := words(t)
	known := make(map[string]bool, len(all))
	for _, w := range all {
		known[w] = true
	}
	check := func(p string) { require.Equal(t, known[p], commonpw.Has(p), p) }
	for i := 0; i < len(all); i += 40 {
		w := all[i]
		at := i % len(w)
		check(w[:len(w)-1])
		check(w[1:])
		check(w + "!")
		check(w + "1")
		for _, by := range []string{"", "0", "1", "a", "e", "z", "~", "!"} {
			check(w[:at] + by + w[at+1:])
		}
		check(w[:at] + "5" + w[at:])
	}
}

func TestHasDoesNotAllocate(t *testing.T) {
	for _, p := range []string{"password", "PASSWORD", "zzzzzzz1", "zzzzzzzz1", "correct horse battery staple", strings.Repeat("a", 19) + "🔑"} {
		assert.Zero(t, testing.AllocsPerRun(10, func() { commonpw.Has(p) }), p)
	}
}

// TestGenerate runs the program that made the list on a source made of the list.
func TestGenerate(t *testing.T) {
	dir := t.TempDir()
	program, out := filepath.Join(dir, "generate"), filepath.Join(dir, "out")
	all := words(t)
	built, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, "./generate").CombinedOutput()
	require.NoError(t, err, string(built))
	generate := func(words []string, more ...string) (string, error) {
		source := filepath.Join(dir, "frequency_lists.js")
		text := "frequency_lists = {\n  passwords: \"" + strings.Join(slices.Concat(words, more), ",") + "\".split(\",\"),\n"
		for _, name := range []string{"english_wikipedia", "us_tv_and_film", "female_names", "male_names"} {
			text += "  " + name + ": \"word,Capital,a word,and-one-that-is-too-long\".split(\",\"),\n"
		}
		ranked := slices.Repeat([]string{"ashort1"}, 9_999)
		text += "  surnames: \"" + strings.Join(append(ranked, all[0], "somebody-else"), ",") + "\".split(\",\")\n};\n"
		require.NoError(t, os.WriteFile(source, []byte(text), 0o600))
		said, err := exec.CommandContext(t.Context(), program, source, out).CombinedOutput()
		return string(said), err
	}

	shuffled := slices.Clone(all)
	rand.Shuffle(len(all), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
	said, err := generate(shuffled[1:], "short", "1234567", `pic\'s56`, shuffled[0])
	require.NoError(t, err, said)
	written, err := os.ReadFile(out)
	require.NoError(t, err)
	assert.Equal(t, commonpw.List, string(written))

	for more, says := range map[string]string{
		"Password":                    `cannot hold "Password"`,
		strings.Repeat("a", 21):       "cannot hold",
		"пароль123":                   "cannot hold",
		"pass word":                   "cannot hold",
		`pass\x77ord`:                 "cannot hold",
		`"].split(","), surnames: "a`: "there is no list of passwords",
	} {
		said, err := generate(all, more)
		require.Error(t, err, more)
		assert.Contains(t, said, says, more)
	}
	said, err = generate(all[:2_999])
	require.Error(t, err)
	assert.Contains(t, said, "2999 passwords are too few")
}

func BenchmarkHas(b *testing.B) {
	for name, p := range map[string]string{"first": "!qaz2wsx", "last": "zzzzzzz1", "phrase": "correct horse battery staple", "absent": "zzzzzzz2"} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				commonpw.Has(p)
			}
		})
	}
}
