// Storm measures what the rest of an application notices of a storm of logins. It runs
// examples/mysql as a process of its own, reads /api/profile over a few connections as
// fast as answers come, and does so again beside many connections that log in again and
// again, each with the right password and without a device token. It prints the rates and
// the percentiles of /api/profile, and exits with 1 if in the median of the rounds the
// rate falls below half of the idle one or the p99 reaches 5 times the idle one, if the
// process grows by 64 MiB or more, or if a login gets another answer than it should.
//
//	go run -C bench ./storm -dsn 'root@tcp(127.0.0.1:3306)/storm'
//	go run -C bench ./storm -dsn 'root@tcp(127.0.0.1:3306)/storm' -apart -- -no-limits
//
// By default the logins come from one IP address, of which the example lets 32 wait. The
// others get 503, or 429 from the limits, and wait for as long as Retry-After says: of 64
// connections about half are asleep. With -apart each connection has an address of its own
// and waits for nothing but its answer, which has to be 200: all of them are in the
// example's queue all the time. A storm then has to be shorter than the 10 seconds after
// which the queue refuses those who wait. With -hasty a last round is printed, which is
// not judged, in which those that are refused come back at once.
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
	"strconv"
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
	apart, hasty    bool
	rounds          int
	idle, storm     time.Duration // of each round
}

func main() {
	p := plan{readers: 8, logins: 64, rounds: 7, idle: 5 * time.Second, storm: 8 * time.Second}
	flag.StringVar(&p.dsn, "dsn", "", "the data source `name` of an empty database")
	peers := flag.String("peers", "", "data source `names` of the same database on other nodes of its cluster, separated by spaces: other instances log in there")
	flag.IntVar(&p.readers, "readers", p.readers, "connections that read /api/profile")
	flag.IntVar(&p.logins, "logins", p.logins, "connections that log in")
	flag.BoolVar(&p.apart, "apart", false, "log in from an address for each connection, 127.0.1.1 and so on, which needs Linux")
	flag.BoolVar(&p.hasty, "hasty", false, "print a last round in which nobody waits who is refused")
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

	m := &measurement{plan: p, db: db, process: e, users: users[1:], readers: readers, others: others}
	printHead(out, p)
	for i := range p.rounds {
		manner := patient
		if p.apart {
			manner = apart
		}
		now, got, err := m.round(ctx, manner)
		if err != nil {
			return r, err
		}
		r.add(now, got)
		printRound(out, strconv.Itoa(i+1), now)
	}
	r.before = m.before
	if _, r.peak, err = e.memory(); err != nil {
		return r, err
	}
	if r.lost, err = outstanding(ctx, db); err != nil {
		return r, err
	}
	r.print(out)
	if p.hasty {
		now, got, err := m.round(ctx, hasty)
		if err != nil {
			return r, err
		}
		printHasty(out, now, got)
	}
	return r, nil
}

// measurement is what the rounds have in common.
type measurement struct {
	plan

	db      *sql.DB
	process *example
	users   []user // who log in
	readers *readers
	others  []*peer
	before  int64 // bytes of memory after the first idle measure
}

// round measures once, and returns when the storm is over.
func (m *measurement) round(ctx context.Context, manner manner) (now round, got answers, err error) {
	if now.idle, err = m.readers.during(ctx, m.idle); err != nil {
		return now, got, err
	}
	if m.before == 0 {
		if m.before, _, err = m.process.memory(); err != nil {
			return now, got, err
		}
	}
	s := startStorm(ctx, m.process.url, manner, m.users, m.others)
	now.beside, err = m.readers.during(ctx, m.storm)
	if err == nil && len(m.others) > 0 {
		err = checkShared(ctx, m.db)
	}
	got, stormErr := s.stop()
	pause(ctx, settle)
	return now, got, errors.Join(err, stormErr)
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
