package main

import (
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"time"
)

// round is the readers' times without and beside a storm.
type round struct{ idle, beside sample }

// rate and p99 are the ratios to the idle measures.
func (r round) rate() float64 { return r.beside.rate() / r.idle.rate() }

func (r round) p99() float64 {
	return float64(r.beside.percentile(99)) / float64(r.idle.percentile(99))
}

// sample is how long each of the requests took that were answered in a time.
type sample struct {
	times []time.Duration // sorted
	over  time.Duration
}

// rate is by the second.
func (s sample) rate() float64 { return float64(len(s.times)) / s.over.Seconds() }

func (s sample) percentile(n int) time.Duration {
	if len(s.times) == 0 {
		return 0
	}
	return s.times[len(s.times)*n/100]
}

// answers is how often a storm got each of them.
type answers struct {
	ok, limited, busy int // 200, 429, 503
	other             int
	example           string // one of the others

	peers, peersLimited int // what other instances took from the limiter, and were refused
}

func (a *answers) add(b answers) {
	a.ok += b.ok
	a.limited += b.limited
	a.busy += b.busy
	a.other += b.other
	if a.example == "" {
		a.example = b.example
	}
	a.peers += b.peers
	a.peersLimited += b.peersLimited
}

// result is what was measured.
type result struct {
	rates, p99s  []float64 // of each round
	before, peak int64     // bytes of memory: after the first idle measure, and at most
	answers      answers
	lost         float64 // of the address's budget, what is not given back after the last storm
}

func (r *result) add(now round, a answers) {
	r.rates = append(r.rates, now.rate())
	r.p99s = append(r.p99s, now.p99())
	r.answers.add(a)
}

// missed says what does not keep to what is wanted.
func (r *result) missed() []error {
	var missed []error
	if rate := median(r.rates); !(rate >= leastRate) { // or not a number
		missed = append(missed, fmt.Errorf("the rate falls to %.2f of the idle one", rate))
	}
	if p99 := median(r.p99s); !(p99 < mostP99) {
		missed = append(missed, fmt.Errorf("the p99 is %.2f times the idle one", p99))
	}
	if growth := r.peak - r.before; growth >= mostGrowth {
		missed = append(missed, fmt.Errorf("the process grows by %s", mebibytes(growth)))
	}
	if r.answers.ok == 0 {
		missed = append(missed, errors.New("nobody logs in"))
	}
	if r.answers.other > 0 {
		missed = append(missed, fmt.Errorf("%d logins were answered in another way, such as %s", r.answers.other, r.answers.example))
	}
	return missed
}

func printHead(out io.Writer, p plan) {
	how := "from one IP address; those that are refused wait as Retry-After says"
	if p.apart {
		how = "each from an IP address of its own; none may be refused"
	}
	_, _ = fmt.Fprintf(out, "examples/mysql %s, on %d cores with all the rest: %d connections read /api/profile, %d log in, %s\n",
		strings.Join(p.example, " "), runtime.NumCPU(), p.readers, p.logins, how)
	_, _ = fmt.Fprintf(out, "round | idle: per s     p50     p99 | storm: per s     p50     p99 | ratio: rate   p99\n")
}

func printRound(out io.Writer, name string, r round) {
	_, _ = fmt.Fprintf(out, "%5s | %11.0f %7s %7s | %12.0f %7s %7s | %11.2f %5.2f\n", name,
		r.idle.rate(), rounded(r.idle.percentile(50)), rounded(r.idle.percentile(99)),
		r.beside.rate(), rounded(r.beside.percentile(50)), rounded(r.beside.percentile(99)),
		r.rate(), r.p99())
}

func printHasty(out io.Writer, r round, a answers) {
	_, _ = fmt.Fprintf(out, "not judged, those that are refused come back at once: %d of 200, %d of 429, %d of 503, %d others\n", a.ok, a.limited, a.busy, a.other)
	printRound(out, "hasty", r)
}

func (r *result) print(out io.Writer) {
	a := r.answers
	_, _ = fmt.Fprintf(out, "medians: rate %.2f (wanted: at least %g), p99 %.2f (wanted: under %d)\n", median(r.rates), leastRate, median(r.p99s), mostP99)
	_, _ = fmt.Fprintf(out, "memory: %s before, %s at most, %s more (wanted: under %s more)\n",
		mebibytes(r.before), mebibytes(r.peak), mebibytes(r.peak-r.before), mebibytes(mostGrowth))
	_, _ = fmt.Fprintf(out, "logins: %d of 200, %d of 429, %d of 503, %d others (wanted: none)\n", a.ok, a.limited, a.busy, a.other)
	_, _ = fmt.Fprintf(out, "budget of the address: %.1f of %d not given back\n", r.lost, stormBucket().Size)
	if a.peers > 0 {
		_, _ = fmt.Fprintf(out, "other instances: %d takes, %d of them limited\n", a.peers, a.peersLimited)
	}
}

func rounded(d time.Duration) string {
	return fmt.Sprintf("%.2fms", float64(d)/float64(time.Millisecond))
}

func mebibytes(n int64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }

// median is 0 of nothing.
func median(of []float64) float64 {
	if len(of) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(of))
	if n := len(sorted) / 2; len(sorted)%2 == 0 {
		return (sorted[n-1] + sorted[n]) / 2
	}
	return sorted[len(sorted)/2]
}
