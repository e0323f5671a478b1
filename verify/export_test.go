package verify

import (
	"net/http"
	"time"
)

// MaxAgeOf is for how much longer an answer may be kept.
func MaxAgeOf(h http.Header) time.Duration { return maxAgeOf(h) }
