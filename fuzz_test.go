package auth_test

import (
	"encoding/json"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ostiary/auth"
)

// Whatever If-None-Match says, a client that does not name the tag gets the set, and one that
// names it beside whatever else does not.
func FuzzIfNoneMatch(f *testing.F) {
	for _, value := range []string{"", "*", "TAG", `W/"x"`, "W/TAG", `"x", TAG`, "TAG,", "W/W/TAG", "w/TAG", " * ", "W/*", "**", "TAGTAG", `"`, ",,", "\x00", "\u00a0*", "TAG\v"} {
		f.Add(value)
	}
	f.Fuzz(func(t *testing.T, value string) {
		h := onMemory(t, signedBy(ed25519Signer(0))).Handler("")
		ask := func(values ...string) reply {
			r := newRequest(t, http.MethodGet, "/jwks.json", "")
			r.Header["If-None-Match"] = values
			return direct(t, h, r)
		}
		set := ask()
		tag := set.header.Get("ETag")
		value = strings.ReplaceAll(value, "TAG", tag)
		for _, values := range [][]string{{value, tag}, {tag, value}, {value + "," + tag}, {"W/" + tag + " , " + value}, {value + ",*"}} {
			got := ask(values...)
			require.Equal(t, http.StatusNotModified, got.status, values)
			assert.Empty(t, got.body)
		}
		got := ask(value)
		if got.status != http.StatusNotModified {
			require.Equal(t, http.StatusOK, got.status)
			assert.Equal(t, set.body, got.body)
			return
		}
		assert.Empty(t, got.body)
		for one := range strings.SplitSeq(value, ",") {
			if one = strings.TrimSpace(one); one == "*" || one == tag || one == "W/"+tag {
				return
			}
		}
		require.Fail(t, "it names no tag", "%q", value)
	})
}

// Whatever body comes, the answer is one of those that a client is told of. A user who
// is signed up is the one that every reader of JSON sees in the body, and logs in by it.
func FuzzBody(f *testing.F) {
	for _, body := range []string{
		`{"name":"Ann Lee","email":"ann@example.com","password":"correct horse"}`,
		`{"name":"\u0041nn <b>","email":" ann@example.com ","password":"\ud83d\ude00\ud83d\ude00 horse","x":[{}]}`,
		`{"refresh_token":"a.b.c"}`, `{"name":null,"email":1,"password":[]}`, `{"EMAIL":"ann@example.com"}`, `{"paſſword":"x"}`,
		`{"name":"Ann","name":"Bob"}`, `{"password":"a\u0000b"}`, "{\"name\":\"\xff\"}", "[]", "{}", "", " ", "nope", `{"a":` + strings.Repeat("[", 40),
		strings.Repeat(" ", maxBody+1),
	} {
		f.Add(jsonType, []byte(body))
	}
	f.Add("application/json; charset=utf-16", []byte("{}"))
	f.Add("text/plain", []byte("{}"))
	f.Add("", []byte(""))
	f.Fuzz(func(t *testing.T, contentType string, body []byte) {
		w := onMemory(t)
		send := func(path string) reply {
			r := newRequest(t, http.MethodPost, path, string(body), "Content-Type", contentType)
			return direct(t, w.Handler(""), r)
		}
		assert.Contains(t, []int{400, 401, 413, 415, 422}, send("/login").status)
		assert.Contains(t, []int{400, 401, 413, 415}, send("/refresh").status)
		signup := send("/signup")
		assert.Contains(t, []int{201, 400, 413, 415, 422}, signup.status)
		if signup.status != http.StatusCreated {
			_, err := w.Profile(t.Context(), "1")
			require.ErrorIs(t, err, auth.ErrUserNotFound)
			return
		}
		var seen map[string]any
		require.NoError(t, json.Unmarshal(body, &seen))
		user, err := w.Profile(t.Context(), "1")
		require.NoError(t, err)
		email, _ := seen["email"].(string)
		assert.Equal(t, strings.TrimSpace(email), user.Email)
		pass, _ := seen["password"].(string)
		_, err = w.Login(t.Context(), auth.LoginInput{Email: user.Email, Password: pass})
		require.NoError(t, err)
	})
}

// One header, one scheme, one token: nothing else opens, and that always does.
//
// Advisory: next-auth GHSA-xmf8.
func FuzzBearer(f *testing.F) {
	const token = "TOKEN" // stands for the token of the run
	for _, value := range []string{
		"Bearer TOKEN", "bearer    TOKEN", "BEARER TOKEN", "Bearer", "Bearer ", "Bearer\tTOKEN", "Bearer TOKEN ", "Bearer TOKEN TOKEN", "Bearer TOKEN,TOKEN",
		"Basic TOKEN", "TOKEN", "", " ", "Bearer \r\nTOKEN", "Bearer TOKEN\x00", "Bearer é", "\u017fearer TOKEN", "Bearer a.b.c", "Bearer ..", "Bearer TOKEN=",
	} {
		f.Add(value, "", false)
		f.Add(value, value, true)
	}
	f.Fuzz(func(t *testing.T, first, second string, both bool) {
		w := onMemory(t)
		id := w.signUp(t, "ann@example.com")
		tokens, err := w.StartSession(t.Context(), id, auth.Client{})
		require.NoError(t, err)
		values := []string{strings.ReplaceAll(first, token, tokens.AccessToken)}
		if both {
			values = append(values, strings.ReplaceAll(second, token, tokens.AccessToken))
		}
		r := newRequest(t, http.MethodGet, "/", "")
		r.Header["Authorization"] = values
		good := regexp.MustCompile(`\A(?i:bearer) +` + regexp.QuoteMeta(tokens.AccessToken) + `\z`)
		want := http.StatusUnauthorized
		if !both && good.MatchString(values[0]) {
			want = http.StatusOK
		}
		assert.Equal(t, want, direct(t, w.Require(http.HandlerFunc(whoami)), r).status, "%q", values)
	})
}

// What is accepted was signed with our key under our header, byte for byte, and anything
// else is an invalid token, whichever of its errors.
//
// ASVS: 9.1.1.
func FuzzVerify(f *testing.F) {
	const access = `{"iss":"auth","aud":"auth","sub":"1","iat":1795521600,"exp":1795522800,"jti":"00","sid":"0123456789abcdef0123456789abcdef","auth_time":1795521600}`
	const refresh = `{"sub":"1","sid":"0123456789abcdef0123456789abcdef","gen":1,"exp":1795608000,"auth_time":1795521600,"max":1798113600}`
	for _, text := range []string{
		accessJWS(access), refreshJWS(refresh), accessJWS(refresh), refreshJWS(access), accessJWS("{}"), accessJWS(access) + "=", "a.b.c", "..", "",
		jws(accessSecret, `{"alg":"none"}`, access), strings.ToUpper(accessJWS(access)), `{"payload":"e30"}`,
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		w := onMemory(t)
		claims, err := w.Verify(text)
		if err == nil {
			assert.Equal(t, accessJWS(segmentOf(t, text, 1)), text)
			assert.NotEmpty(t, claims.UserID)
		} else {
			require.ErrorIs(t, err, auth.ErrInvalidToken)
			assert.Zero(t, claims)
		}
		_, err = w.Refresh(t.Context(), text, auth.Client{})
		require.ErrorIs(t, err, auth.ErrInvalidToken)
		err = w.Logout(t.Context(), text)
		if err == nil {
			assert.Equal(t, refreshJWS(segmentOf(t, text, 1)), text)
		} else {
			require.ErrorIs(t, err, auth.ErrInvalidToken)
		}
	})
}

// Claims under our own signature are read as every other reader of JSON reads them, or
// not at all.
func FuzzClaims(f *testing.F) {
	const access = `{"iss":"auth","aud":"auth","sub":"1","iat":1795521600,"exp":1795522800,"jti":"00","sid":"0123456789abcdef0123456789abcdef","auth_time":1795521600}`
	const refresh = `{"sub":"1","sid":"0123456789abcdef0123456789abcdef","gen":1,"exp":1795608000,"auth_time":1795521600,"max":1798113600}`
	for _, payload := range []string{
		access, refresh, strings.Replace(access, `"exp"`, `"EXP"`, 1), strings.Replace(access, "}", `,"exp":1}`, 1), strings.Replace(access, "}", `,"nbf":0,"roles":["a"]}`, 1),
		strings.Replace(access, "1795522800", "1.7955228e9", 1), strings.Replace(access, "1795522800", `"1795522800"`, 1), strings.Replace(access, `"aud":"auth"`, `"aud":["auth"]`, 1),
		strings.Replace(access, `"1"`, `"\u0031"`, 1), strings.Replace(refresh, `"gen":1`, `"gen":-1`, 1), access + access, "{}", "[]", "null", "", "\xff",
	} {
		f.Add([]byte(payload))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		w := onMemory(t)
		_, err := w.Refresh(t.Context(), refreshJWS(string(payload)), auth.Client{})
		require.ErrorIs(t, err, auth.ErrInvalidToken, "no such session")
		claims, err := w.Verify(accessJWS(string(payload)))
		if err != nil {
			require.ErrorIs(t, err, auth.ErrInvalidToken)
			return
		}
		require.True(t, utf8.Valid(payload))
		var seen map[string]json.RawMessage
		require.NoError(t, json.Unmarshal(payload, &seen))
		texts := map[string]string{
			"iss": "auth", "aud": "auth", "sub": string(claims.UserID), "sid": claims.SessionID.String(), "jti": claims.ID,
		}
		for name, want := range texts {
			var got string
			require.NoError(t, json.Unmarshal(seen[name], &got), name)
			assert.Equal(t, want, got, name)
			assert.NotEmpty(t, got)
		}
		for name, want := range map[string]int64{
			"iat": claims.IssuedAt.Unix(), "exp": claims.ExpiresAt.Unix(), "auth_time": claims.AuthTime.Unix(),
		} {
			assert.Equal(t, strconv.FormatInt(want, 10), string(seen[name]), name)
		}
	})
}
