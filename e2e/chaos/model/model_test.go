package model_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ostiary/auth/e2e/chaos/model"
	"github.com/ostiary/auth/e2e/client"
)

const (
	grace    = 5 * time.Second
	patience = 2 * time.Second
	slack    = 250 * time.Millisecond
)

// talk is a session of a client's, and the server's answers to it.
type talk struct {
	*model.Session

	t   *testing.T
	now time.Time
}

func begin(t *testing.T, edit ...func(o *model.Options)) *talk {
	t.Helper()
	o := model.Options{Grace: grace, Patience: patience, Slack: slack}
	for _, f := range edit {
		f(&o)
	}
	s, err := model.Begin(ok(t, 1), o)
	require.NoError(t, err)
	return &talk{s, t, time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)}
}

// ok is an answer with a generation's token, whose claims edit may change.
func ok(t *testing.T, g int64, edit ...func(c *client.Claims)) client.Answer {
	t.Helper()
	c := client.Claims{Subject: "1", Session: "s", Generation: g, ExpiresAt: 1000 + g, AuthTime: 3, MaxExpiresAt: 4}
	for _, f := range edit {
		f(&c)
	}
	text, err := json.Marshal(c)
	require.NoError(t, err)
	return client.Answer{
		Status: http.StatusOK, AccessToken: "access", RefreshToken: "e30." + base64.RawURLEncoding.EncodeToString(text) + ".c2ln",
	}
}

func status(code int) client.Answer { return client.Answer{Status: code} }

func ended() client.Answer {
	return client.Answer{Status: http.StatusUnauthorized, Code: "session_ended"}
}

func (k *talk) pass(d time.Duration) { k.now = k.now.Add(d) }

// refresh sends a generation and gets the answer at once.
func (k *talk) refresh(g int64, a client.Answer) model.Verdict {
	k.t.Helper()
	return k.Answer(k.Send(g, k.now), a, k.now)
}

// right has an answer judged that is right.
func (k *talk) right(g int64, a client.Answer) model.Verdict {
	k.t.Helper()
	v := k.refresh(g, a)
	require.Empty(k.t, v.Violation)
	return v
}

// wrong has an answer judged that is not.
func (k *talk) wrong(g int64, a client.Answer, why string) {
	k.t.Helper()
	require.Contains(k.t, k.refresh(g, a).Violation, why)
}

func TestBegin(t *testing.T) {
	for name, a := range map[string]client.Answer{
		"generation": ok(t, 2),
		"no session": ok(t, 1, func(c *client.Claims) { c.Session = "" }),
		"no token":   {Status: http.StatusOK},
	} {
		_, err := model.Begin(a, model.Options{})
		require.Error(t, err, name)
	}
}

func TestRotationsAndRetries(t *testing.T) {
	k := begin(t)
	require.True(t, k.Unsent())
	require.Equal(t, model.Verdict{Kind: model.Answered}, k.right(1, ok(t, 2)))
	require.Equal(t, model.Verdict{Kind: model.Answered, Retry: true}, k.right(1, ok(t, 2)))
	require.Equal(t, int64(2), k.Newest())
	require.True(t, k.Unsent())
	k.Send(2, k.now) // without an answer
	require.False(t, k.Unsent())
	require.Equal(t, model.Verdict{Kind: model.Answered, Retry: true}, k.right(1, ok(t, 3)), "the answer may have been lost")
	require.Equal(t, model.Verdict{Kind: model.Unavailable}, k.right(3, status(http.StatusServiceUnavailable)))
	require.Equal(t, int64(3), k.Newest())
	require.True(t, k.MustGoOn())
}

func TestDoubled(t *testing.T) {
	later := func(c *client.Claims) { c.ExpiresAt++ }
	k := begin(t)
	k.right(1, ok(t, 2))
	k.wrong(1, ok(t, 2, later), "doubled: generation 2 has the claims")
	k.right(2, ok(t, 3))
	k.wrong(1, ok(t, 2), "doubled: answered with generation 2 when 3 was known")

	// An answer that was under way when a newer one came is right.
	k = begin(t)
	slow := k.Send(1, k.now)
	k.right(1, ok(t, 2))
	k.right(2, ok(t, 3))
	require.Empty(t, k.Answer(slow, ok(t, 2), k.now).Violation)
	require.Equal(t, int64(3), k.Newest())
}

func TestWrongSuccessor(t *testing.T) {
	begin(t).wrong(1, ok(t, 1), "answered with generation 1")
	begin(t).wrong(1, ok(t, 3), "although none after 1 was ever sent")
	begin(t).wrong(1, client.Answer{Status: http.StatusOK}, "no token")
	for _, edit := range []func(c *client.Claims){
		func(c *client.Claims) { c.Subject = "2" },
		func(c *client.Claims) { c.Session = "other" },
		func(c *client.Claims) { c.AuthTime++ },
		func(c *client.Claims) { c.MaxExpiresAt++ },
	} {
		begin(t).wrong(1, ok(t, 2, edit), "another session's claims")
	}
}

func TestLoggedOutWithoutCause(t *testing.T) {
	k := begin(t)
	k.wrong(1, ended(), "logged out without cause")
	require.True(t, k.Ended())

	// However long the token was in nobody's hands but the client's.
	k = begin(t)
	k.right(1, ok(t, 2))
	k.pass(time.Hour)
	k.wrong(2, ended(), "logged out without cause")

	// Within Grace of the first sending, which may have replaced it.
	k = begin(t)
	k.Send(1, k.now)
	k.pass(grace - slack - patience/4)
	use := k.Send(1, k.now)
	k.pass(patience / 4)
	require.Equal(t, k.now, use.GiveUp)
	require.Contains(t, k.Answer(use, ended(), k.now).Violation, "logged out without cause")
}

func TestRefusedWithoutCause(t *testing.T) {
	begin(t).wrong(1, client.Answer{Status: http.StatusUnauthorized, Code: "invalid_token"}, `refused with the code "invalid_token"`)
	begin(t).wrong(1, status(http.StatusInternalServerError), "status 500")
	begin(t).wrong(1, status(http.StatusNotFound), "status 404")
}

// Later than Grace after the first sending a session is in doubt, and either answer is
// right.
func TestDoubt(t *testing.T) {
	for _, a := range []client.Answer{ended(), ok(t, 2)} {
		k := begin(t)
		k.Send(1, k.now)
		k.pass(grace)
		k.right(1, a)
		require.True(t, k.InDoubt())
		require.False(t, k.MustGoOn())
		require.Equal(t, a.Status == http.StatusUnauthorized, k.Lost())
		k.LogOut()
		k.refresh(k.Newest(), ended())
		require.Equal(t, a.Status == http.StatusUnauthorized, k.Lost(), "a logout is no loss")
	}
	// So is an answer that comes too late.
	k := begin(t)
	use := k.Send(1, k.now)
	k.pass(grace)
	require.Empty(t, k.Answer(use, ended(), k.now).Violation)
	require.True(t, k.InDoubt())
	require.True(t, k.Ended())
	// What has ended stays so.
	k.wrong(1, ok(t, 2), "after the session's end was acknowledged")
}

// An older token is given up for the newest before that would put the session in doubt.
func TestOlder(t *testing.T) {
	k := begin(t)
	k.right(1, ok(t, 2))
	k.right(2, ok(t, 3))
	k.pass(time.Second)
	k.right(3, ok(t, 4))
	require.Equal(t, []int64{1, 2, 3}, k.Older(k.now))
	k.pass(grace - slack - patience - time.Second)
	require.Equal(t, []int64{3}, k.Older(k.now))
	k.pass(patience)
	require.Equal(t, "e30.", k.Send(1, k.now).Token[:4])
	require.Equal(t, ok(t, 4).RefreshToken, k.Send(1, k.now).Token)
	require.True(t, k.MustGoOn())
}

func TestLogout(t *testing.T) {
	k := begin(t)
	k.LogOut()
	under := k.Send(1, k.now)
	k.right(1, ok(t, 2))
	k.LoggedOut()
	require.Empty(t, k.Answer(under, ok(t, 2), k.now).Violation, "it was under way")
	k.right(2, ended())
	k.wrong(2, ok(t, 3), "after the session's end was acknowledged")
	k.wrong(2, status(http.StatusTooManyRequests), "limited")

	// Without an answer it may have ended.
	k = begin(t)
	k.LogOut()
	k.right(1, ok(t, 2))
	k.right(2, ended())
	require.False(t, k.InDoubt())
}

func TestTheft(t *testing.T) {
	robbable := func() *talk {
		k := begin(t)
		k.right(1, ok(t, 2))
		k.right(2, ok(t, 3))
		require.Nil(t, k.Rob(1, k.now), "within Grace")
		k.pass(grace)
		require.Nil(t, k.Rob(1, k.now), "perhaps within Grace")
		k.pass(slack)
		require.Nil(t, k.Rob(3, k.now), "it is the newest")
		require.Nil(t, k.Rob(7, k.now), "nobody has it")
		return k
	}
	k := robbable()
	theft := k.Rob(1, k.now)
	require.Equal(t, ok(t, 1).RefreshToken, theft.Token)
	require.Empty(t, k.Answer(theft, status(http.StatusServiceUnavailable), k.now).Violation)
	require.False(t, k.Ended())
	require.Empty(t, k.Answer(theft, ended(), k.now).Violation)
	require.True(t, k.Ended())
	k.right(3, ended())
	k.wrong(3, ok(t, 4), "after the session's end was acknowledged")

	k = robbable()
	require.Contains(t, k.Answer(k.Rob(2, k.now), ok(t, 3), k.now).Violation, "theft of generation 2, the newest being 3: not detected")
	k = robbable()
	require.Contains(t, k.Answer(k.Rob(2, k.now), status(http.StatusTooManyRequests), k.now).Violation, "limited")
}

// After a 429 nothing was done: the token is as if it had not been sent.
func TestLimited(t *testing.T) {
	begin(t).wrong(1, status(http.StatusTooManyRequests), "limited")

	k := begin(t, func(o *model.Options) { o.Limited = true })
	a := client.Answer{Status: http.StatusTooManyRequests, RetryAfter: "5"}
	require.Equal(t, model.Verdict{Kind: model.Limited}, k.right(1, a))
	require.Equal(t, k.now.Add(5*time.Second), k.NotBefore())
	require.True(t, k.Unsent())
	k.pass(2 * grace)
	k.wrong(1, ended(), "logged out without cause")

	// Another use that may have replaced it since still counts, and one that was over
	// before the limited one was sent does not.
	for over, want := range map[time.Duration]bool{0: false, slack: false, slack + 1: true} {
		k = begin(t, func(o *model.Options) { o.Limited = true })
		k.NoAnswer(k.Send(1, k.now), k.now)
		k.pass(over)
		k.right(1, a)
		require.Equal(t, want, k.Unsent())
		if want {
			require.Equal(t, k.now.Add(5*time.Second), k.NotBefore())
			k.pass(2 * grace)
			k.wrong(1, ended(), "logged out without cause")
			continue
		}
		require.Equal(t, k.now.Add(2*slack), k.NotBefore(), "it is asked again soon")
		k.pass(grace - slack - patience/4)
		require.Empty(t, k.Answer(k.Send(1, k.now), status(http.StatusServiceUnavailable), k.now).Violation)
		require.True(t, k.MustGoOn(), "Grace begins with the limited use")
		k.pass(2 * grace)
		k.right(1, ended())
	}
	k = begin(t, func(o *model.Options) { o.Limited = true })
	k.Send(1, k.now) // under way
	k.pass(2 * slack)
	k.right(1, a)
	require.False(t, k.Unsent())
}
