// Package app is what the example servers have in common: their flags, keys for a server
// that has none, and serving until a signal comes.
package app

import (
	"crypto/rand"
	"errors"
	"flag"
	"log/slog"
	"strconv"

	"github.com/ostiary/auth"
)

// DefaultAddr is where the servers listen if nothing else is said.
const DefaultAddr = "127.0.0.1:3000"

// Flags is what every server takes from its command line.
type Flags struct {
	Addr     string
	Tutorial bool
	Cost     int
	Hashes   int
	NoLimits bool
}

// DefineFlags adds the flags to the command line's. They are set when Main calls run.
func DefineFlags() *Flags {
	f := &Flags{}
	flag.StringVar(&f.Addr, "addr", DefaultAddr, "`address` to listen on")
	flag.BoolVar(&f.Tutorial, "tutorial", false, "answer as the Node tutorial does")
	flag.Func("cost", "bcrypt's `cost` of new passwords, from 10 to 18 (default 12)", func(s string) error {
		n, err := strconv.Atoi(s)
		if err != nil || n < 10 || n > 18 {
			return errors.New("it must be from 10 to 18")
		}
		f.Cost = n
		return nil
	})
	flag.Func("hashes", "the `number` of passwords that are hashed at once; 0: half of GOMAXPROCS, at least 1 (default 0)", func(s string) error {
		n, err := strconv.Atoi(s)
		if err != nil || n < 0 {
			return errors.New("it must be a number from 0 on")
		}
		f.Hashes = n
		return nil
	})
	flag.BoolVar(&f.NoLimits, "no-limits", false, "set no rate limits, for load tests")
	return f
}

// Config is the flags and the tokens as auth.New takes them.
func (f *Flags) Config(tokens auth.TokenOptions, logger *slog.Logger) auth.Config {
	return auth.Config{
		Tokens:               tokens,
		HashCost:             f.Cost,
		HashConcurrency:      f.Hashes,
		Logger:               logger,
		InsecureTutorialMode: f.Tutorial,
		InsecureNoLimits:     f.NoLimits,
	}
}

// RandomKeys are tokens with keys that nobody else has, and the defaults for the rest.
func RandomKeys(logger *slog.Logger) auth.TokenOptions {
	logger.Warn("the keys are random: a second instance cannot read this one's tokens, nor can this one after a restart")
	return auth.TokenOptions{
		AccessKeys:  []auth.Key{randomKey()},
		RefreshKeys: []auth.Key{randomKey()},
	}
}

func randomKey() auth.Key {
	secret := make([]byte, 32)
	_, _ = rand.Read(secret) // it never fails
	return auth.HMACKey(secret)
}

// IsGiven says whether the flag was set on the command line.
func IsGiven(name string) bool {
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == name })
	return given
}
