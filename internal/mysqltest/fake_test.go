package mysqltest_test

import (
	"fmt"
	"runtime"
	"testing"
)

// fakeTB is a test whose end is observed. What it does not override is the real test's.
type fakeTB struct {
	testing.TB

	fatal   string
	skipped string
	errors  []string
}

func (f *fakeTB) Fatal(args ...any) {
	f.fatal = fmt.Sprint(args...)
	runtime.Goexit()
}

func (f *fakeTB) Fatalf(format string, args ...any) { f.Fatal(fmt.Sprintf(format, args...)) }

func (f *fakeTB) Skip(args ...any) {
	f.skipped = fmt.Sprint(args...)
	runtime.Goexit()
}

func (f *fakeTB) Error(args ...any) { f.errors = append(f.errors, fmt.Sprint(args...)) }

// observe runs f as a test would run and returns how it ended.
func observe(t *testing.T, f func(tb *fakeTB)) *fakeTB {
	t.Helper()
	fake := &fakeTB{TB: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		f(fake)
	}()
	<-done
	return fake
}
