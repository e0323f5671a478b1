package mysqlstore

import (
	"encoding/binary"
	"math"
	"time"

	"github.com/ostiary/auth"
)

const (
	// sinceEpoch turns what follows it, up to a parenthesis, into microseconds since the
	// Unix epoch. A DATETIME itself would come as the driver's settings have it.
	sinceEpoch = "TIMESTAMPDIFF(MICROSECOND, '1970-01-01', "

	// nowMicros is the server's now in microseconds since the epoch. UTC_TIMESTAMP is when
	// the statement began; how long it has waited for locks since is added, lest a
	// retirement be that old already when it is written. A change to winter time, which
	// bends NOW and SYSDATE alone, cannot set it back.
	nowMicros = "(" + sinceEpoch + "UTC_TIMESTAMP(6)) + GREATEST(0, TIMESTAMPDIFF(MICROSECOND, NOW(6), SYSDATE(6))))"

	// nowBytes is nowMicros as the 8 bytes that a retirement takes in a row, big-endian, so
	// that bytes compare as instants do.
	nowBytes = "UNHEX(LPAD(HEX(" + nowMicros + "), 16, '0'))"

	retiredBytes = 8
)

// instant is t as the text of a DATETIME(6) in UTC. Digits below the microsecond are cut
// off here, since servers differ in what they do with them. The years are 1 to 9999: an
// instant outside becomes the first or the last.
func instant(t time.Time) string {
	t = t.UTC()
	if y := t.Year(); y < 1 {
		t = time.Time{}
	} else if y > 9999 {
		t = time.Date(9999, time.December, 31, 23, 59, 59, 999_999_000, time.UTC)
	}
	return t.Format("2006-01-02 15:04:05.000000")
}

// fromMicros is the instant so many microseconds after the Unix epoch.
func fromMicros(n int64) time.Time { return time.UnixMicro(n).UTC() }

// micros is d in whole microseconds, rounded up; 0 where d is not positive.
func micros(d time.Duration) int64 {
	if d <= 0 {
		return 0
	}
	return int64((d-1)/time.Microsecond) + 1
}

// retirements reads a row's list of retirement times.
func retirements(b []byte) []time.Time {
	var list []time.Time
	for ; len(b) >= retiredBytes && len(list) < auth.RetiredKept; b = b[retiredBytes:] {
		n := min(binary.BigEndian.Uint64(b), math.MaxInt64)
		list = append(list, fromMicros(int64(n)))
	}
	return list
}
