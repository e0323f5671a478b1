// Purge measures what refreshes notice of a purge. It fills a database with sessions, half
// of them expired, refreshes some others at a steady rate, and does so once more while
// PurgeSessions deletes what has expired. It prints both 99th percentiles and their
// ratio, and exits with 1 if the ratio is 5 or more, or if the purge has left a row too
// many or too few.
//
//	go run -C bench ./purge -dsn 'root@tcp(127.0.0.1:3306)/purge'
//
// The database has to be there, without tables. A million sessions take a minute or two
// and some 700 MB of the server's disk.
package main

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"sync"
	"time"

	_ "github.com/go-sql-driver/mysql" // the driver "mysql"

	"github.com/ostiary/auth"
	"github.com/ostiary/auth/mysqlstore"
)

// limit is what the ratio has to stay under.
const limit = 5

func main() {
	dsn := flag.String("dsn", "", "the data source name of an empty database")
	rows := flag.Int("rows", 1_000_000, "how many sessions there are")
	clients := flag.Int("clients", 4, "how many sessions are refreshed all the time")
	pause := flag.Duration("pause", 5*time.Millisecond, "what each of them waits between two refreshes")
	idle := flag.Duration("idle", 10*time.Second, "how long refreshes alone are measured")
	flag.Parse()
	ratio, err := run(context.Background(), os.Stdout, *dsn, *rows, load{*clients, *pause}, *idle)
	if err != nil {
		fmt.Fprintln(os.Stderr, "purge:", err)
	}
	if err != nil || ratio >= limit {
		os.Exit(1)
	}
}

// run prints the measurement and returns the ratio of the 99th percentiles.
func run(ctx context.Context, out io.Writer, dsn string, rows int, l load, idle time.Duration) (ratio float64, err error) {
	db, err := sql.Open("mysql", dsn)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	store := mysqlstore.New(db, mysqlstore.Options{})
	a, user, err := prepare(ctx, db, store, rows)
	if err != nil {
		return 0, err
	}
	chains := make([]auth.Tokens, l.clients)
	for i := range chains {
		if chains[i], err = a.StartSession(ctx, user, auth.Client{}); err != nil {
			return 0, err
		}
	}

	alone, err := l.during(ctx, a, chains, func() error { return sleep(ctx, idle) })
	if err != nil {
		return 0, err
	}
	var purged int64
	start := time.Now()
	beside, err := l.during(ctx, a, chains, func() (err error) {
		purged, err = a.PurgeSessions(ctx, 0)
		return err
	})
	if err != nil {
		return 0, err
	}
	took := time.Since(start)
	var left int
	if err := db.QueryRowContext(ctx, "SELECT COUNT(*) FROM refresh_tokens").Scan(&left); err != nil {
		return 0, err
	}
	if want := rows / 2; purged != int64(want) || left != rows-want+l.clients {
		return 0, fmt.Errorf("%d of %d sessions were purged, and %d are left", purged, want, left)
	}
	ratio = float64(p99(beside)) / float64(p99(alone))
	_, err = fmt.Fprintf(out, "purged %d of %d sessions in %s\nrefreshes alone:  p99 %s of %d\nrefreshes beside: p99 %s of %d\nratio %.2f (wanted: under %d)\n",
		purged, rows, took.Round(time.Millisecond), p99(alone).Round(time.Microsecond), len(alone), p99(beside).Round(time.Microsecond), len(beside), ratio, limit)
	return ratio, err
}

// prepare makes the tables, an Authenticator and a user with that many sessions, the older
// half of which has expired.
func prepare(ctx context.Context, db *sql.DB, store *mysqlstore.Store, rows int) (*auth.Authenticator, auth.UserID, error) {
	if err := store.Migrate(ctx); err != nil {
		return nil, "", err
	}
	var users int
	if err := db.QueryRowContext(ctx, "SELECT COUNT(*) FROM users").Scan(&users); err != nil {
		return nil, "", err
	}
	if users > 0 {
		return nil, "", errors.New("the database has users: name an empty one")
	}
	a, err := auth.New(store.Stores(), auth.Config{
		Tokens: auth.TokenOptions{
			AccessKeys:  []auth.Key{auth.HMACKey([]byte(rand.Text() + rand.Text()))},
			RefreshKeys: []auth.Key{auth.HMACKey([]byte(rand.Text() + rand.Text()))},
		},
		InsecureNoLimits: true,
		Logger:           slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return nil, "", err
	}
	user, err := a.Signup(ctx, auth.SignupInput{Name: "Ann Lee", Email: "ann@example.com", Password: rand.Text()})
	if err != nil {
		return nil, "", err
	}
	const step = 10_000 // of one statement
	for first := 0; first < rows; first += step {
		if _, err := db.ExecContext(ctx, insertSessions, string(user.ID), rows/2, first, min(step, rows-first)); err != nil {
			return nil, "", err
		}
	}
	return a, user.ID, nil
}

// insertSessions adds sessions of a user. Like ours their IDs begin with the time, here
// with a number; those below a limit have expired a day ago.
const insertSessions = "INSERT INTO refresh_tokens (id, user_id, auth_version, generation, rotated_by, retired, created_at, authenticated_at, " +
	"expires_at, max_expires_at, reason, ip, user_agent) " +
	"SELECT UNHEX(CONCAT(LPAD(HEX(n), 12, '0'), LEFT(SHA2(n, 256), 20))), ?, 1, 1, UNHEX(REPEAT('00', 16)), UNHEX(REPEAT('00', 64)), " +
	"UTC_TIMESTAMP(6), UTC_TIMESTAMP(), UTC_TIMESTAMP() + INTERVAL IF(n < ?, -100000, 86400) + n DIV 50 SECOND, " +
	"UTC_TIMESTAMP() + INTERVAL 30 DAY, '', UNHEX('c0000201'), REPEAT('u', 80) " +
	"FROM (SELECT ? + i AS n, i FROM (SELECT a.d + 10 * b.d + 100 * c.d + 1000 * d.d AS i FROM " +
	digits + " a, " + digits + " b, " + digits + " c, " + digits + " d) four WHERE i < ? ORDER BY i) numbers"

const digits = "(SELECT 0 d UNION SELECT 1 UNION SELECT 2 UNION SELECT 3 UNION SELECT 4 " +
	"UNION SELECT 5 UNION SELECT 6 UNION SELECT 7 UNION SELECT 8 UNION SELECT 9)"

// load is refreshes at a steady rate.
type load struct {
	clients int
	pause   time.Duration
}

// during refreshes the sessions, each by a client of its own, until f returns. It returns
// how long each refresh took.
func (l load) during(ctx context.Context, a *auth.Authenticator, chains []auth.Tokens, f func() error) ([]time.Duration, error) {
	var (
		wg    sync.WaitGroup
		done  = make(chan struct{})
		times = make([][]time.Duration, l.clients)
		errs  = make([]error, l.clients)
	)
	for i := range chains {
		wg.Go(func() {
			for errs[i] == nil {
				select {
				case <-done:
					return
				default:
				}
				start := time.Now()
				next, err := a.Refresh(ctx, chains[i].RefreshToken, auth.Client{})
				if err != nil {
					errs[i] = err
					return
				}
				times[i] = append(times[i], time.Since(start))
				chains[i] = next
				errs[i] = sleep(ctx, l.pause)
			}
		})
	}
	err := f()
	close(done)
	wg.Wait()
	return slices.Concat(times...), errors.Join(err, errors.Join(errs...))
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// p99 is the 99th percentile.
func p99(times []time.Duration) time.Duration {
	if len(times) == 0 {
		return 0
	}
	return slices.Sorted(slices.Values(times))[len(times)*99/100]
}
