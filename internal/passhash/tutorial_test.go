package passhash_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ostiary/auth/internal/passhash"
)

// Hashes that the tutorial's application made, at cost 10, and what was typed at sign-up.
const (
	annHash  = "$2b$10$UUCffLfXHhU.xaUrC9kb0Oi1u7D6X4RGvo12iYimMLbfKLvsn.l9C"
	bobHash  = "$2b$10$eO3bl47TiTdoElOrzGRwxufmrKb2FkfG9EITiFUFfZz0TmTwASC52"
	tomHash  = "$2b$10$/yTRONSnOF4I5.4D5Vt57u/JGilCbhv5aKw94qtmgcWeKNZWQCAK."
	leeHash  = "$2b$10$zWL9fiBinL4nWY0FKpZVr.xPqsH23kyOoDkQRYrebvJMdt5XHfPh2"
	eveHash  = "$2b$10$7mlXCIOCm1Wq30YfZRYiLOgwCf5y9c024SzFuZew7Y97zz2r6iAva"
	zoeHash  = "$2b$10$Yee9k4i2F0fM7RuUyPJZ3OfyAJ5oqQfRaOSnYhF3grgH1pDYF5qai"
	longHash = "$2b$10$8Soimj09WFZ50zmNa7Hr8uQP6XDa26/HkUQaOZPai/yDMjK7qcDLi"
)

func TestTutorialHashesTakenOver(t *testing.T) {
	long := strings.Repeat("p", 80)
	h := passhash.Hasher{Cost: 10}
	for _, c := range []struct {
		hash  string
		typed []string
	}{
		{annHash, []string{"correct horse"}},
		{bobHash, []string{"battery staple"}},
		{tomHash, []string{"tom's cheese"}},
		{leeHash, []string{"be water, my friend"}},
		{eveHash, []string{"  spaced out  ", "spaced out"}},
		{zoeHash, []string{"naïve café"}},
		{longHash, []string{long}},
	} {
		marked := mark(t, c.hash)
		assert.Equal(t, markTutorial+c.hash, marked)
		for _, password := range c.typed {
			assertVerdict(t, h, marked, password, true)
		}
	}
	assertVerdict(t, h, mark(t, annHash), "correct horsf", false)
	assertVerdict(t, h, eveHash, "  spaced out  ", false)
	assertVerdict(t, h, longHash, long, false)
}

// A marked hash is compared once, as the tutorial compared it.
func TestTutorialHashIsComparedTrimmedAndCut(t *testing.T) {
	h := quick()
	long := strings.Repeat("p", 80)
	marked := mark(t, bcryptOf(t, long[:72], 4))
	for password, want := range map[string]bool{
		long: true, long[:72]: true, long[:73]: true, long[:72] + "another tail": true, " " + long: true, "\uFEFF\u00A0" + long + "\n": true,
		long[:72] + strings.Repeat("q", 952): true,
		long[:71]:                            false, long[:71] + "q": false, "q" + long: false, "\u0085" + long: false, long + "\x00": false,
		long[:72] + strings.Repeat("q", 953): false, "": false, "   ": false,
	} {
		assertVerdict(t, h, marked, password, want)
		work := &meter{}
		_, err := passhash.Hasher{Cost: 4, OnHash: work.add}.Verify(marked, password)
		require.NoError(t, err)
		assert.Equal(t, []int{4}, work.costs)
	}

	// White space at byte 72 and behind it goes only where it ends the text.
	inner := strings.Repeat("p", 71) + " "
	assertVerdict(t, h, mark(t, bcryptOf(t, inner, 4)), inner+"tail", true)
	assertVerdict(t, h, mark(t, bcryptOf(t, inner, 4)), inner, false)

	// The cut may fall inside a character.
	wide := strings.Repeat("p", 71) + "é"
	assertVerdict(t, h, mark(t, bcryptOf(t, wide[:72], 4)), wide, true)
}

func TestTutorialHashRehashed(t *testing.T) {
	h := passhash.Hasher{Cost: 5}
	long := strings.Repeat("p", 80)

	spaced := mark(t, bcryptOf(t, "spaced out", 4))
	for _, typed := range []string{"  spaced out  ", "spaced out"} {
		assert.True(t, h.NeedsRehash(spaced))
		again, err := h.Rehash(spaced, typed)
		require.NoError(t, err)
		assert.True(t, strings.HasPrefix(again, markTutorial+"$2a$05$"), again)
		assertVerdict(t, h, again, "  spaced out  ", true)
		assertVerdict(t, h, again, "spaced out", true)
		assertVerdict(t, h, again, "spaced", false)
		assertVerdict(t, h, strings.TrimPrefix(again, markTutorial), "  spaced out  ", false)
	}

	again, err := h.Rehash(mark(t, bcryptOf(t, long[:72], 4)), long)
	require.NoError(t, err)
	assertVerdict(t, h, again, long, true)
	assertVerdict(t, h, again, long[:72], true)
	assertVerdict(t, h, again, long[:71], false)
	unmarked := strings.TrimPrefix(again, markTutorial)
	assertVerdict(t, h, unmarked, long, false)
	assertVerdict(t, h, unmarked, " "+long[:72], false)

	// A password that is set anew has no mark, and every byte of it counts.
	fresh := mustHash(t, h, long)
	assertVerdict(t, h, fresh, long, true)
	for _, wrong := range []string{long[:72], long[:79] + "q", " " + long, long + " "} {
		assertVerdict(t, h, fresh, wrong, false)
	}
	fresh = mustHash(t, h, "  spaced out  ")
	assertVerdict(t, h, fresh, "spaced out", false)
}

func TestMarkTutorial(t *testing.T) {
	for _, version := range []string{"$2a$", "$2b$", "$2y$"} {
		marked, err := passhash.MarkTutorial(version + annHash[4:])
		require.NoError(t, err)
		assert.Equal(t, markTutorial+version+annHash[4:], marked)
		_, err = passhash.MarkTutorial(marked)
		require.ErrorIs(t, err, passhash.ErrMalformed)
	}
	_, err := passhash.MarkTutorial(markSHA384 + annHash)
	require.ErrorIs(t, err, passhash.ErrMalformed)
}

func mark(t *testing.T, bcryptHash string) string {
	t.Helper()
	marked, err := passhash.MarkTutorial(bcryptHash)
	require.NoError(t, err)
	return marked
}
