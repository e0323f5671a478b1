package pwned_test

import (
	"math/big"
	"regexp"
	"strings"
)

var row = regexp.MustCompile(`^([0-9A-Fa-f]{35}):([0-9]+)$`)

// reading is what an answer says of the suffix, and whether it is a list of hashes, of at
// most 1 MiB and of lines of at most 127 bytes.
func reading(body, suffix string) (n int, ok bool) {
	if len(body) > 1<<20 || body == "" {
		return 0, false
	}
	for line := range strings.SplitSeq(strings.TrimSuffix(body, "\n"), "\n") {
		m := row.FindStringSubmatch(strings.TrimSuffix(line, "\r"))
		if m == nil || len(line) > 127 {
			return 0, false
		}
		count, _ := new(big.Int).SetString(m[2], 10)
		if count.BitLen() > 31 {
			return 0, false
		}
		if strings.ToUpper(m[1]) == suffix {
			n = max(n, int(count.Int64()))
		}
	}
	return n, true
}
