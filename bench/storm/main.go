// Storm measures what the rest of an application notices of a storm of logins. It runs
// examples/mysql as a process of its own, reads /api/profile over a few connections as
// fast as answers come, and does so again beside many connections that log in all the
// time, each with the right password, from one IP address, and without a device token. It
// prints the rates and the percentiles of /api/profile, and exits with 1 if in the median
// of the rounds the rate falls below half of the idle one or the p99 reaches 5 times the
// idle one, if the process grows by 64 MiB or more, or if a login gets another answer than
// 200, 429 or 503.
//
//	go run -C bench ./storm -dsn 'root@tcp(127.0.0.1:3306)/storm'
//
// The database has to be there, without tables. Everything shares the machine's cores:
// this program, the example and the database. Other work on the machine is borne by the
// ratios in part alone, since a round's two measures are some seconds apart.
package main

import (
	"context"
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// What the measures have to keep to.
const (
	leastRate  = 0.5
	mostP99    = 5
	mostGrowth = 64 << 20
)

// plan is what is measured.
type plan struct {
	dsn     string
	peers   []string // data source names of where other instances use the limiter
	example []string // arguments of the example

	readers, logins int // connections
	rounds          int
	idle, storm     time.Duration // of each round
}

func main() {
	p := plan{readers: 8, logins: 64, rounds: 7, idle: 5 * time.Second, storm: 10 * time.Second}
	flag.StringVar(&p.dsn, "dsn", "", "the data source `name` of an empty database")
	peers := flag.String("peers", "", "data source `names` of the same database on other nodes of its cluster, separated by spaces: other instances log in there")
	flag.IntVar(&p.readers, "readers", p.readers, "connections that read /api/profile")
	flag.IntVar(&p.logins, "logins", p.logins, "connections that log in")
	flag.IntVar(&p.rounds, "rounds", p.rounds, "how often it is measured")
	flag.DurationVar(&p.idle, "idle", p.idle, "how long without a storm")
	flag.DurationVar(&p.storm, "storm", p.storm, "how long beside one")
	flag.Usage = func() {
		_, _ = fmt.Fprintln(flag.CommandLine.Output(), "storm [flags] [-- arguments of examples/mysql, such as -no-limits -pool=10]")
		flag.PrintDefaults()
	}
	flag.Parse()
	p.peers, p.example = strings.Fields(*peers), flag.Args()
	r, err := run(context.Background(), os.Stdout, p)
	if err == nil {
		err = errors.Join(r.missed()...)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "storm:", err)
		os.Exit(1)
	}
}

// run measures, and prints each round as soon as it is over.
func run(ctx context.Context, out io.Writer, p plan) (r result, err error) {
	db, users, err := prepare(ctx, p)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	e, err := startExample(ctx, append([]string{"-dsn", p.dsn}, p.example...)...)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, e.stop()) }()
	readers, err := newReaders(ctx, e.url, users[0], p.readers)
	if err != nil {
		return r, err
	}
	var others []*peer
	for _, dsn := range p.peers {
		other, err := newPeer(dsn)
		if err != nil {
			return r, err
		}
		defer func() { err = errors.Join(err, other.db.Close()) }()
		others = append(others, other)
	}

	printHead(out, p)
	for i := range p.rounds {
		var now round
		if now.idle, err = readers.during(ctx, p.idle); err != nil {
			return r, err
		}
		if i == 0 {
			if r.before, _, err = e.memory(); err != nil {
				return r, err
			}
		}
		s := startStorm(ctx, e.url, users[1:], others)
		now.beside, err = readers.during(ctx, p.storm)
		if err == nil && len(others) > 0 {
			err = checkShared(ctx, db)
		}
		answers, stormErr := s.stop()
		if err := errors.Join(err, stormErr); err != nil {
			return r, err
		}
		r.add(now, answers)
		printRound(out, i+1, now)
		pause(ctx, settle)
	}
	if _, r.peak, err = e.memory(); err != nil {
		return r, err
	}
	if r.lost, err = outstanding(ctx, db); err != nil {
		return r, err
	}
	r.print(out)
	return r, nil
}

// checkShared fails unless the budget of the peers is one that the storm uses now.
func checkShared(ctx context.Context, db *sql.DB) error {
	taken, err := outstanding(ctx, db)
	if err == nil && taken == 0 {
		err = errors.New("the storm does not use the budget that the other instances do")
	}
	return err
}

// settle is what the example gets to end the last hash of a storm.
const settle = time.Second

// pause waits until the time is over or ctx ends.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
