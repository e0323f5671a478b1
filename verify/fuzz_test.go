package verify_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/ostiary/auth/verify"
)

// Whatever an answer says, it is kept for a minute at least and an hour at most, however
// its directives are written and spread over lines. A directive that is written last is
// read whatever stands before it.
func FuzzMaxAgeOf(f *testing.F) {
	for _, value := range []string{
		"", "public, max-age=300", "MAX-AGE=120", `max-age="120"`, "max-age=-5", "max-age=99999999999999999999", "max-age", "max-age=", "max-age==1", "no-store",
		"no-cache=\"a, max-age=5\", max-age=300", ",,", " , max-age = 5", "s-maxage=600", "max-age=1e3", "max-age=0x10", "\x00", "max-age=300\r\n",
	} {
		f.Add(value, "", uint16(0))
		f.Add(value, "100", uint16(600))
		f.Add("public", value, uint16(3601))
	}
	f.Fuzz(func(t *testing.T, value, age string, n uint16) {
		of := func(age string, values ...string) time.Duration {
			return verify.MaxAgeOf(http.Header{"Cache-Control": values, "Age": {age}})
		}
		kept := of(age, value)
		assert.LessOrEqual(t, time.Minute, kept)
		assert.LessOrEqual(t, kept, time.Hour)
		assert.Equal(t, kept, of(age, strings.Split(value, ",")...), "on lines of their own")
		assert.Equal(t, kept, of(age, " "+value+" ,"))
		assert.Equal(t, time.Minute, of(age, value, "no-store"))
		assert.Equal(t, time.Minute, of(age, "No-Cache", value))

		last := of("", value, fmt.Sprintf("max-age=%d", n))
		if last != time.Minute { // a no-store may stand before it
			assert.Equal(t, min(time.Duration(n)*time.Second, time.Hour), last)
		}
		assert.LessOrEqual(t, of(age, value, fmt.Sprintf("max-age=%d", n)), last, "an age makes it shorter")
	})
}
