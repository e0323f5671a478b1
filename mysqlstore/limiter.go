package mysqlstore

import (
	"context"
	"crypto/sha256"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ostiary/auth/limit"
)

const (
	// limiterConnections is how many of the pool's connections a limiter uses at once, and
	// limiterTime how long a call waits for one and then for the server's answer, so that
	// a flood of logins leaves the pool to the rest of the application.
	limiterConnections = 4
	limiterTime        = 250 * time.Millisecond

	// limiterPause is what a call is told to wait that came into another's way.
	limiterPause = time.Second
)

const (
	// The server ends a statement that waits, before the client would have to close the
	// connection to get rid of it, and the server of a closed one goes on waiting. MariaDB
	// alone executes the comment, and knows such a limit of a statement that writes.
	endedSoon = "/*M!100200 SET STATEMENT max_statement_time = 0.2 FOR */ "

	utcMicros = sinceEpoch + "UTC_TIMESTAMP(6))"

	// A budget that is full at full_at holds n from full_at - (Size - n)·Every on. The wait
	// until then comes back as the statement's insert ID, since what counts as an affected
	// row depends on the host's clientFoundRows; a new row's is 0. After a step back of
	// the clock an empty budget is no more than empty. The arguments, as limitArgs names
	// them: id, cost, slack, cost, cost, span.
	takeFromLimit = endedSoon + "INSERT INTO rate_limits (id, full_at) VALUES (?, " + utcMicros + " + ?) ON DUPLICATE KEY UPDATE full_at = " +
		"IF(LAST_INSERT_ID(GREATEST(0, LEAST(full_at - " + utcMicros + " - ?, ?))) = 0, " +
		"GREATEST(full_at, " + utcMicros + ") + ?, LEAST(full_at, " + utcMicros + " + ?))"

	// An instant that has passed is as good as now, so that nothing need be bounded here.
	giveBackToLimit = endedSoon + "UPDATE rate_limits SET full_at = full_at - ? WHERE id = ?"
)

// limiter is a limit.Limiter on the table rate_limits, behind one in memory: what that
// one refuses, or is asked whether it would, costs no statement.
//
// The memory counts what this process takes, which is no more than the table counts, and
// takes over what the table holds when that refuses. It goes by that for as long as the
// table said, also when another process gives back meanwhile.
//
// A call that the table cannot answer within 250 ms, the wait for one of 4 connections
// included, or whose statement comes into the way of another, is answered that the key is
// over for a second, and takes nothing from the memory. After any other error, also that
// ctx has ended, the memory keeps its count, the only one that there is then. What the
// table has too much, since an answer was lost or something could not be given back, or
// too little, is settled with the key's next statement.
type limiter struct {
	db     *pool
	memory *limit.Memory
	slots  chan struct{} // one for each connection in use
	within time.Duration // limiterTime, save in tests
	asked  atomic.Uint64 // how often the table was
	ledger limitLedger

	take, give, full statement
}

func newLimiter(db *pool) limiter {
	return limiter{
		db: db, memory: limit.NewMemory(nil), slots: make(chan struct{}, limiterConnections), within: limiterTime,
		take: statement{query: takeFromLimit},
		give: statement{query: giveBackToLimit},
		full: statement{query: fullLimits},
	}
}

// Take implements limit.Limiter, in one round trip at most, save each hundredth time and
// where the key's ledger is to be settled.
// What is given back is given back although ctx has ended.
func (l *limiter) Take(ctx context.Context, key string, b limit.Bucket, n int) (wait time.Duration, err error) {
	wait, err = l.memory.Take(ctx, key, b, n)
	if n == 0 || wait > 0 || err != nil {
		return wait, err
	}
	args := limitArguments(key, b, n)
	if n < 0 {
		return 0, translate("give back to rate limit", l.giveToTable(context.WithoutCancel(ctx), args))
	}
	lost := false // whether it may be done although it failed
	busy, err := l.ask(ctx, func(ctx context.Context) error {
		wait, lost, err = l.takeFromTable(ctx, args)
		return err
	})
	switch {
	case err != nil:
		if !lost {
			l.ledger.add(args.id, -args.cost) // of which the memory alone knows
		}
		return 0, translate("take from rate limit", err)
	case busy:
		if lost {
			l.ledger.add(args.id, args.cost) // of which the table alone knows
		}
		_, err = l.memory.Take(ctx, key, b, -n)
		return limiterPause, err
	case wait > 0:
		l.memory.Refuse(key, b, n, wait)
	}
	return wait, nil
}

// giveToTable gives back what the table has of it, and settles the key's ledger.
func (l *limiter) giveToTable(ctx context.Context, args limitArgs) error {
	cost := args.cost + l.ledger.settle(args.id)
	if cost <= 0 { // the table never had it
		l.ledger.add(args.id, cost)
		return nil
	}
	busy, err := l.ask(ctx, func(ctx context.Context) error { return l.execGive(ctx, args.id, cost) })
	if busy || err != nil {
		l.ledger.add(args.id, cost)
	}
	return err
}

func (l *limiter) execGive(ctx context.Context, id []byte, cost int64) error {
	return startAnew(func() error {
		_, err := l.give.exec(ctx, l.db, cost, id)
		return err
	})
}

// ask calls do, which may use one connection at a time, and says whether it ended without
// an answer because the server, or the pool, was busy.
func (l *limiter) ask(ctx context.Context, do func(ctx context.Context) error) (busy bool, err error) {
	bounded, cancel := context.WithTimeout(ctx, l.within)
	defer cancel()
	select {
	case l.slots <- struct{}{}:
		defer func() { <-l.slots }()
		err = do(bounded)
	case <-bounded.Done():
		err = bounded.Err()
	}
	if err == nil || ctx.Err() != nil {
		return false, err
	}
	timeout, isNet := errors.AsType[net.Error](err) // a dial may end just before bounded does
	if bounded.Err() != nil || isNet && timeout.Timeout() || isConflict(err) || errorNumber(err) == errStatementTime {
		return true, nil
	}
	return false, err
}

// takeFromTable takes, once the key's ledger is settled, and each hundredth time purges.
// lost says that the take may be done although there is an error.
func (l *limiter) takeFromTable(ctx context.Context, args limitArgs) (wait time.Duration, lost bool, err error) {
	if cost := l.ledger.settle(args.id); cost != 0 {
		if cost > 0 {
			err = l.execGive(ctx, args.id, cost)
		}
		if cost < 0 || err != nil {
			l.ledger.add(args.id, cost)
		}
		if err != nil {
			return 0, false, err
		}
	}
	res, err := l.take.exec(ctx, l.db, args.id, args.cost, args.slack, args.cost, args.cost, args.span)
	if err != nil {
		return 0, !wasNotDone(err), err
	}
	us, err := res.LastInsertId()
	if err != nil {
		return 0, true, err
	}
	if l.asked.Add(1)%limiterPurgeEvery == 0 {
		_ = l.purge(ctx) // the next one purges what is left
	}
	return time.Duration(us) * time.Microsecond, false, nil
}

// wasNotDone says whether a statement that failed has certainly changed nothing: the server
// refused it, or could not be reached.
func wasNotDone(err error) bool {
	dial, ok := errors.AsType[*net.OpError](err)
	return errorNumber(err) != 0 || ok && dial.Op == "dial"
}

// limitLedger is by how much the table differs from what this process holds, by the keys'
// IDs, in microseconds: what it has too much, less what it never got. It knows
// maxLedger keys: of more it forgets all, and their budgets fill by themselves.
type limitLedger struct {
	mu   sync.Mutex
	byID map[[sha256.Size]byte]int64
}

const maxLedger = 1024

// settle returns the key's difference, which is none then.
func (o *limitLedger) settle(id []byte) int64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	cost := o.byID[[sha256.Size]byte(id)]
	delete(o.byID, [sha256.Size]byte(id))
	return cost
}

func (o *limitLedger) add(id []byte, cost int64) {
	if cost == 0 {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.byID == nil || len(o.byID) >= maxLedger {
		o.byID = make(map[[sha256.Size]byte]int64)
	}
	o.byID[[sha256.Size]byte(id)] += cost
}

// limitArgs are arguments of the statements on rate_limits. Durations are microseconds.
type limitArgs struct {
	id    []byte // the key's SHA-256: an address in a key is not to be read in the table
	cost  int64  // of what is taken or given back
	slack int64  // of what may be left in the budget beside it
	span  int64  // of all that the budget holds
}

func limitArguments(key string, b limit.Bucket, n int) limitArgs {
	const most = 1 << 60 // sums of three stay within a BIGINT
	every := max(1, micros(b.Every))
	cost := func(n int) int64 {
		if int64(n) > most/every {
			return most
		}
		return int64(n) * every
	}
	id := sha256.Sum256([]byte(key))
	args := limitArgs{id: id[:], cost: cost(max(n, -n)), span: cost(max(b.Size, 1))}
	args.slack = args.span - args.cost
	return args
}
