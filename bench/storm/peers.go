package main

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/ostiary/auth/limit"
	"github.com/ostiary/auth/mysqlstore"
)

const (
	// stormKey is the limiter's key of failed logins from the storm's IP address.
	stormKey = "login_ip:127.0.0.1"

	// peerLogins is how many logins another instance has under way. Each takes as long as
	// a hash of cost 12 does, so that an instance takes from the budget some 30 times a
	// second and gives back as often: as often as the example does.
	peerLogins = 8
	peerHash   = 250 * time.Millisecond
)

// stormBucket is what the library has for that key.
func stormBucket() limit.Bucket { return limit.Bucket{Size: 100, Every: 6 * time.Second} }

// peer is what a database notices of the logins of another instance: their use of the
// budget that they share with the storm. The rest would cost another instance's machine,
// and is left out, since this one has to carry the example, the readers and a cluster.
type peer struct {
	db      *sql.DB
	limiter limit.Limiter
}

func newPeer(dsn string) (*peer, error) {
	db, err := sql.Open("mysql", dsn)
	if err != nil {
		return nil, err
	}
	const connections = 10
	db.SetMaxOpenConns(connections)
	db.SetMaxIdleConns(connections)
	return &peer{db, mysqlstore.New(db, mysqlstore.Options{}).Limiter()}, nil
}

// logIn takes and gives back until ctx ends, which like the library's ends no take that is
// under way. It returns how often it took, and how often it was told to wait.
func (p *peer) logIn(ctx context.Context) (taken, limited int, err error) {
	lasting := context.WithoutCancel(ctx)
	for ctx.Err() == nil {
		wait, err := p.limiter.Take(lasting, stormKey, stormBucket(), 1)
		if err != nil {
			return taken, limited, fmt.Errorf("another instance: %w", err)
		}
		taken++
		if wait > 0 {
			limited++
			pause(ctx, wait)
			continue
		}
		pause(ctx, peerHash)
		if _, err := p.limiter.Take(lasting, stormKey, stormBucket(), -1); err != nil {
			return taken, limited, fmt.Errorf("another instance: %w", err)
		}
	}
	return taken, limited, nil
}

// outstanding is how much of the storm's budget is taken, by the database's clock.
func outstanding(ctx context.Context, db *sql.DB) (taken float64, err error) {
	id := sha256.Sum256([]byte(stormKey))
	var us int64
	err = db.QueryRowContext(ctx, "SELECT full_at - TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(6)) FROM rate_limits WHERE id = ?", id[:]).Scan(&us)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil
	}
	return max(0, float64(us)/float64(stormBucket().Every.Microseconds())), err
}
