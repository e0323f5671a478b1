// Package model tells from what a client sent and received alone whether the promises of
// login, refresh and logout were kept for a session.
package model

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/ostiary/auth/e2e/client"
)

// Session is what a client knows of one session. It judges each answer by the promises:
//
// A generation is retired no earlier than its token was first sent, and no later than a
// token of a later generation was received. So a token may be refused only if the first
// sending of it is more than Grace ago, and must be refused if that receipt is. A request
// that got no answer may have been carried out; the server gives it up when its client
// does, give or take slack.
//
// Its methods are safe for concurrent use.
type Session struct {
	o Options

	mu          sync.Mutex
	claims      client.Claims // of the first token
	generations map[int64]*generation
	newest      int64 // the highest generation that was received
	sentUpTo    int64 // the highest that was sent

	ended    bool   // an answer has said so: every request from then on must be refused
	mayEnd   string // why the session may have ended by now without anybody's fault; "": it must go on
	doubtful bool   // mayEnd is not the client's own will: an outage was longer than Grace allows
	leaving  bool   // the client wants to end it
	lost     bool   // it ended because of the doubt
	access   string // the newest access token
	notAgain time.Time
}

// Options are the server's, and how exact the client's reckoning is.
type Options struct {
	Grace    time.Duration // the server's Tokens.Grace
	Limited  bool          // 429 is an answer
	Patience time.Duration // how long the client waits for an answer
	Slack    time.Duration // how much longer a request may live, and by how much clocks may be off
}

// generation is what is known of one of a session's refresh tokens.
type generation struct {
	token     string
	uses      []*Use    // that may have replaced it
	succeeded time.Time // when a later generation was first received
}

// Use is one sending of a token.
type Use struct {
	Token  string
	GiveUp time.Time // when the client must stop waiting

	generation int64
	floor      int64     // the newest generation received before it
	sent       time.Time // or the latest when it is known not to have been carried out
	over       time.Time // when it was answered or given up; zero: it is under way
	afterEnd   bool      // the session was known to have ended
	theft      bool
}

// Begin is the session of a login's answer.
func Begin(a client.Answer, o Options) (*Session, error) {
	claims, err := client.Read(a.RefreshToken)
	if err != nil {
		return nil, err
	}
	if claims.Generation != 1 || claims.Session == "" {
		return nil, fmt.Errorf("a login answered with generation %d of session %q", claims.Generation, claims.Session)
	}
	return &Session{
		o: o, claims: claims, generations: map[int64]*generation{1: {token: a.RefreshToken}}, newest: 1, access: a.AccessToken,
	}, nil
}

// ID is the session's.
func (s *Session) ID() string { return s.claims.Session }

// Newest is the generation to use next.
func (s *Session) Newest() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.newest
}

// Unsent says whether the newest token was never sent, so that it cannot be retired.
func (s *Session) Unsent() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.generations[s.newest].uses) == 0
}

// Access is the newest access token.
func (s *Session) Access() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.access
}

// AnyToken is one of the session's refresh tokens.
func (s *Session) AnyToken() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, of := range s.generations {
		return of.token
	}
	return ""
}

// Ended says whether an answer has said that the session is over.
func (s *Session) Ended() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ended
}

// MustGoOn says whether nothing has happened that may end the session.
func (s *Session) MustGoOn() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mayEnd == "" && !s.ended
}

// InDoubt says whether the session may have ended because nobody answered for longer than
// Grace allows.
func (s *Session) InDoubt() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.doubtful
}

// Lost says whether the session ended because of that.
func (s *Session) Lost() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lost
}

// NotBefore is when a limit lets the session go on; the zero value is at once.
func (s *Session) NotBefore() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.notAgain
}

// until is when a use of the generation must have been answered so that nothing but a
// live session's answer is right. The caller holds mu.
func (s *Session) until(g int64, now time.Time) time.Time {
	first := now
	for _, u := range s.generations[g].uses {
		if u.sent.Before(first) {
			first = u.sent
		}
	}
	return first.Add(s.o.Grace - s.o.Slack)
}

// Older returns the generations before the newest that may still be used.
func (s *Session) Older(now time.Time) []int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []int64
	for g := range s.generations {
		if g < s.newest && now.Add(s.o.Patience).Before(s.until(g, now)) {
			list = append(list, g)
		}
	}
	slices.Sort(list)
	return list
}

// Send notes that a generation's token is about to be sent, or the newest's where the
// other is too old. If that is too old as well, the session may end by it.
func (s *Session) Send(g int64, now time.Time) *Use {
	s.mu.Lock()
	defer s.mu.Unlock()
	least := s.o.Patience / 4 // less is no use
	if g < s.newest && now.Add(least).After(s.until(g, now)) {
		g = s.newest
	}
	u := &Use{
		Token: s.generations[g].token, GiveUp: now.Add(s.o.Patience),
		generation: g, floor: s.newest, sent: now, afterEnd: s.ended,
	}
	if until := s.until(g, now); now.Add(least).After(until) {
		s.doubt("a token was used again later than Grace allows")
	} else if u.GiveUp.After(until) {
		u.GiveUp = until
	}
	s.generations[g].uses = append(s.generations[g].uses, u)
	s.sentUpTo = max(s.sentUpTo, g)
	return u
}

// doubt notes that the session may end, and that the client did not want it.
func (s *Session) doubt(why string) {
	if s.mayEnd == "" && !s.ended {
		s.mayEnd, s.doubtful = why, true
	}
}

// Rob is Send for a thief, who has an older token. It returns nil where that need not end
// the session: unless all before the newest were retired more than Grace ago.
func (s *Session) Rob(g int64, now time.Time) *Use {
	s.mu.Lock()
	defer s.mu.Unlock()
	stolen, last := s.generations[g], s.generations[s.newest-1]
	if g >= s.newest || stolen == nil || last == nil || now.Sub(last.succeeded) <= s.o.Grace+s.o.Slack/2 || s.mayEnd != "" || s.ended {
		return nil
	}
	s.mayEnd = "a thief"
	return &Use{Token: stolen.token, GiveUp: now.Add(s.o.Patience), generation: g, floor: s.newest, sent: now, theft: true}
}

// LogOut notes that the client is about to end the session.
func (s *Session) LogOut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.leaving = true
	if s.mayEnd == "" {
		s.mayEnd = "logout"
	}
}

// LoggedOut notes that an answer has said that it did.
func (s *Session) LoggedOut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = true
}

// Verdict is what an answer to a use amounts to.
type Verdict struct {
	Kind      Kind
	Retry     bool   // it was answered with a token that another use had made
	Violation string // "": the answer is right
}

// Kind is an answer's kind.
type Kind int

// The kinds of answers.
const (
	Answered Kind = iota
	Refused
	Limited
	Unavailable
	Wrong
)

// NoAnswer notes that a use was given up.
func (s *Session) NoAnswer(u *Use, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	u.over = now
}

// Answer judges the answer to a use.
func (s *Session) Answer(u *Use, a client.Answer, now time.Time) Verdict {
	s.mu.Lock()
	defer s.mu.Unlock()
	u.over = now
	switch a.Status {
	case http.StatusOK:
		retry, violation := s.successor(u, a, now)
		return Verdict{Answered, retry, violation}
	case http.StatusUnauthorized:
		return Verdict{Refused, false, s.refusal(u, a, now)}
	case http.StatusTooManyRequests:
		return Verdict{Limited, false, s.limit(u, a, now)}
	case http.StatusServiceUnavailable:
		return Verdict{Unavailable, false, ""}
	default:
		return Verdict{Wrong, false, s.say(u, "answered with status %d: %s", a.Status, a.Body)}
	}
}

func (s *Session) say(u *Use, format string, args ...any) string {
	what := "use"
	if u.theft {
		what = "theft"
	}
	return fmt.Sprintf("session %s: %s of generation %d, the newest being %d: ", s.claims.Session, what, u.generation, s.newest) +
		fmt.Sprintf(format, args...)
}

// successor judges a 200.
func (s *Session) successor(u *Use, a client.Answer, now time.Time) (retry bool, violation string) {
	c, err := client.Read(a.RefreshToken)
	if err != nil {
		return false, s.say(u, "answered with no token: %v", err)
	}
	same := s.claims
	same.Generation, same.ExpiresAt = c.Generation, c.ExpiresAt
	known := s.generations[c.Generation]
	switch {
	case u.theft:
		violation = s.say(u, "not detected: answered with generation %d", c.Generation)
	case u.afterEnd:
		violation = s.say(u, "answered with generation %d, after the session's end was acknowledged", c.Generation)
	case c != same:
		violation = s.say(u, "answered with another session's claims: %+v", c)
	case c.Generation <= u.generation:
		violation = s.say(u, "answered with generation %d", c.Generation)
	case c.Generation < u.floor:
		violation = s.say(u, "doubled: answered with generation %d when %d was known", c.Generation, u.floor)
	case known != nil && known.token != a.RefreshToken:
		first, _ := client.Read(known.token)
		violation = s.say(u, "doubled: generation %d has the claims %+v and %+v", c.Generation, first, c)
	case c.Generation > s.sentUpTo+1:
		violation = s.say(u, "answered with generation %d, although none after %d was ever sent", c.Generation, s.sentUpTo)
	}
	retry = known != nil || c.Generation > u.generation+1
	if known == nil {
		s.generations[c.Generation] = &generation{token: a.RefreshToken}
	}
	if c.Generation > s.newest {
		s.newest, s.access = c.Generation, a.AccessToken
		for g, of := range s.generations {
			if g < s.newest && of.succeeded.IsZero() {
				of.succeeded = now
			}
		}
	}
	return retry, violation
}

// refusal judges a 401.
func (s *Session) refusal(u *Use, a client.Answer, now time.Time) (violation string) {
	innocent := s.mayEnd == "" && !s.ended
	switch {
	case a.Code != "session_ended":
		violation = s.say(u, "refused with the code %q", a.Code)
	case innocent && !now.After(s.until(u.generation, now)):
		violation = s.say(u, "logged out without cause, %s before the token may be too old",
			s.until(u.generation, now).Sub(now).Round(time.Millisecond))
	case innocent:
		s.doubt("an answer came later than Grace allows")
	}
	s.lost = s.lost || s.doubtful && !s.ended && !s.leaving
	s.ended = true
	return violation
}

// limit judges a 429: nothing was done, and the token was the newest then. So the uses
// before that are over have not replaced it; others may have since. Where there are such
// the client asks again soon, before the token may be too old to ask.
func (s *Session) limit(u *Use, a client.Answer, now time.Time) (violation string) {
	if !s.o.Limited || u.theft || u.afterEnd {
		return s.say(u, "limited")
	}
	of := s.generations[u.generation]
	of.uses = slices.DeleteFunc(of.uses, func(other *Use) bool {
		return other == u || !other.over.IsZero() && other.over.Add(s.o.Slack).Before(u.sent)
	})
	for _, other := range of.uses {
		if other.sent.Before(u.sent) {
			other.sent = u.sent
		}
	}
	seconds, _ := strconv.Atoi(a.RetryAfter)
	s.notAgain = now.Add(time.Duration(seconds) * time.Second)
	if len(of.uses) > 0 {
		s.notAgain = now.Add(2 * s.o.Slack)
	}
	return ""
}
