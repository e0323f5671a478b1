// Logintiming measures whether the time of a refused login tells an address that nobody
// has from a wrong password. It times logins over loopback HTTP in pairs, one of each
// kind in random order, and prints the medians and the AUC: the chance that a random
// login with a wrong password took longer than a random one with an unknown address, 0.5
// if time tells nothing. It exits with 1 if the AUC is not from 0.4 to 0.6.
//
//	go run -C bench ./logintiming
//
// 200 pairs at cost 12 take some two minutes of one core. Other work on the machine makes
// the measurement coarser, not wrong, since it falls on both kinds alike.
package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/ostiary/auth"
	"github.com/ostiary/auth/memstore"
)

func main() {
	pairs := flag.Int("pairs", 200, "how many logins of each kind")
	cost := flag.Int("cost", 12, "bcrypt's cost, configured and stored")
	flag.Parse()
	same, err := run(context.Background(), os.Stdout, max(*pairs, 1), *cost)
	if err != nil {
		fmt.Fprintln(os.Stderr, "logintiming:", err)
	}
	if err != nil || !same {
		os.Exit(1)
	}
}

// run prints the measurement and says whether the two kinds look the same.
func run(ctx context.Context, out io.Writer, pairs, cost int) (same bool, err error) {
	const known, unknown = "ann@example.com", "bob@example.com"
	a, err := newAuthenticator(cost)
	if err != nil {
		return false, err
	}
	if _, err := a.Signup(ctx, auth.SignupInput{Name: "Ann Lee", Email: known, Password: rand.Text()}); err != nil {
		return false, err
	}
	server := httptest.NewServer(a.Handler(""))
	defer server.Close()

	times := map[string][]time.Duration{}
	for i := range pairs + 1 {
		for _, email := range inRandomOrder(known, unknown) {
			took, err := refusedLogin(ctx, server.URL+"/login", email)
			if err != nil {
				return false, err
			}
			if i > 0 { // the first pair opens the connection
				times[email] = append(times[email], took)
			}
		}
	}
	return report(out, times[unknown], times[known]), nil
}

func newAuthenticator(cost int) (*auth.Authenticator, error) {
	return auth.New(memstore.New(memstore.Options{}).Stores(), auth.Config{
		Tokens: auth.TokenOptions{
			AccessKeys:  []auth.Key{auth.HMACKey([]byte(rand.Text() + rand.Text()))},
			RefreshKeys: []auth.Key{auth.HMACKey([]byte(rand.Text() + rand.Text()))},
		},
		HashCost:         cost,
		InsecureHashCost: true, // as low as one asks for
		Logger:           slog.New(slog.DiscardHandler),
	})
}

func inRandomOrder(a, b string) [2]string {
	var coin [1]byte
	_, _ = rand.Read(coin[:]) // never fails
	if coin[0]&1 == 0 {
		return [2]string{a, b}
	}
	return [2]string{b, a}
}

// refusedLogin returns how long the refusal took to come.
func refusedLogin(ctx context.Context, url, email string) (time.Duration, error) {
	body, err := json.Marshal(map[string]string{"email": email, "password": "a wrong password"})
	if err != nil {
		return 0, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(string(body)))
	if err != nil {
		return 0, err
	}
	req.Header.Set("Content-Type", "application/json")
	start := time.Now()
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer func() { _ = res.Body.Close() }()
	if _, err := io.Copy(io.Discard, res.Body); err != nil {
		return 0, err
	}
	took := time.Since(start)
	if res.StatusCode != http.StatusUnauthorized {
		return 0, fmt.Errorf("a login with a wrong password was answered with %s", res.Status)
	}
	return took, nil
}

// report prints both kinds' medians and the verdict, which it returns.
func report(out io.Writer, unknown, wrong []time.Duration) (same bool) {
	const least, most = 0.4, 0.6
	a := auc(unknown, wrong)
	_, _ = fmt.Fprintf(out, "unknown address: median %s of %d\nwrong password:  median %s of %d\nAUC %.2f (chance is 0.5; wanted %g to %g)\n",
		median(unknown).Round(10*time.Microsecond), len(unknown), median(wrong).Round(10*time.Microsecond), len(wrong), a, least, most)
	return least <= a && a <= most
}

func median(times []time.Duration) time.Duration {
	return slices.Sorted(slices.Values(times))[len(times)/2]
}

// auc is the share of all pairs of one of each in which the second is the longer; a draw
// counts half.
func auc(first, second []time.Duration) float64 {
	longer := 0.0
	for _, f := range first {
		for _, s := range second {
			switch {
			case s > f:
				longer++
			case s == f:
				longer += 0.5
			}
		}
	}
	return longer / float64(len(first)*len(second))
}
