package chaos

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
)

// The names of a Report's counts.
const (
	SignUps       = "sign-ups acknowledged"
	LogIns        = "sessions begun"
	LogOuts       = "sessions ended by logout"
	Rotations     = "generations received"
	GraceRetries  = "retries in grace"
	Limited       = "429"
	Unavailable   = "503"
	NoAnswer      = "requests without an answer"
	Thefts        = "thefts"
	Detected      = "thefts detected"
	Doubtful      = "sessions that an outage may have ended"
	DoubtfulEnded = "of those, ended"
	LostAcks      = "lost acknowledgements of a commit"
	Kept          = "sessions there afterwards"
	StayedEnded   = "ended sessions refused afterwards"
	LogInsAfter   = "users who could log in afterwards"
)

// Report is what a run saw. Its methods are safe for concurrent use.
type Report struct {
	Options Options // with the defaults and the seed

	mu         sync.Mutex
	counts     map[string]int
	violations []string
}

func newReport(o Options) *Report { return &Report{Options: o, counts: map[string]int{}} }

func (r *Report) add(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.counts[name]++
}

func (r *Report) set(name string, n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.counts[name] = n
}

// violate notes a broken promise; "" is none.
func (r *Report) violate(what string) {
	if what == "" {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.violations = append(r.violations, what)
}

// Count returns one of the counts by its name.
func (r *Report) Count(name string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.counts[name]
}

// Violations returns the promises that were broken.
func (r *Report) Violations() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.violations)
}

// String lists the counts and the violations.
func (r *Report) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var b strings.Builder
	fmt.Fprintf(&b, "%s of load, Grace %s, limits %t, %d users on each instance, seed %d\n",
		r.Options.Duration, r.Options.Grace, r.Options.Limited, r.Options.Users, r.Options.Seed)
	for _, name := range slices.Sorted(maps.Keys(r.counts)) {
		fmt.Fprintf(&b, "%8d %s\n", r.counts[name], name)
	}
	fmt.Fprintf(&b, "%8d violations\n", len(r.violations))
	for i, v := range r.violations {
		if i == 20 {
			fmt.Fprintf(&b, "  and %d more\n", len(r.violations)-i)
			break
		}
		b.WriteString("  " + v + "\n")
	}
	return b.String()
}

// Minimums says how much a run must have met to be a real test.
type Minimums map[string]int

// Check returns an error for broken promises, for thefts that were not detected, and for
// a run that was no real test: that met less than the minimums, or left more than one
// session in twenty in doubt.
func (r *Report) Check(m Minimums) error {
	var errs []error
	if n := len(r.Violations()); n > 0 {
		errs = append(errs, fmt.Errorf("chaos: %d violations", n))
	}
	if thefts, detected := r.Count(Thefts), r.Count(Detected); thefts != detected {
		errs = append(errs, fmt.Errorf("chaos: of %d thefts %d were detected", thefts, detected))
	}
	for _, name := range slices.Sorted(maps.Keys(m)) {
		if n := r.Count(name); n < m[name] {
			errs = append(errs, fmt.Errorf("chaos: no real test: %d %s, not %d", n, name, m[name]))
		}
	}
	if doubtful, all := r.Count(Doubtful), r.Count(LogIns); doubtful*20 > all {
		errs = append(errs, fmt.Errorf("chaos: no real test: of %d sessions %d are in doubt", all, doubtful))
	}
	return errors.Join(errs...)
}
