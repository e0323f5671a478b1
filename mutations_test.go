package auth_test

import (
	"crypto/ed25519"
	"crypto/elliptic"
	"encoding/base64"
	"fmt"
	"math/big"
	"net/http"
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ostiary/auth"
)

// forger has an access token and the key that signed it, and makes of them what nobody
// should accept. It signs by golang-jwt, sharing no code with what is tested.
type forger struct {
	alg, kid string
	key      any               // what golang-jwt signs with
	public   []byte            // what is known of it
	token    string            // a good one
	others   map[string]forger // of the other algorithms
}

// sign makes the JWS of any header and payload with the right key.
func (f forger) sign(t *testing.T, header, payload string) string {
	t.Helper()
	signed := base64URL(header) + "." + base64URL(payload)
	return signed + "." + base64URL(f.signature(t, signed))
}

func (f forger) signature(t *testing.T, signed string) string {
	t.Helper()
	b, err := jwt.GetSigningMethod(f.alg).Sign(signed, f.key)
	require.NoError(t, err)
	return string(b)
}

// forgers are one for each algorithm, with the Authenticator that accepts its token.
func forgers(t *testing.T) map[string]struct {
	forger
	*world
} {
	t.Helper()
	out := map[string]struct {
		forger
		*world
	}{}
	others := map[string]forger{}
	add := func(alg string, key any, public []byte, edit func(*auth.Config)) {
		w := onMemory(t, edit)
		w.signUp(t, ann)
		token := w.logIn(t, ann).AccessToken
		kid := decodeJSON[map[string]string](t, segmentOf(t, token, 0))["kid"]
		f := forger{alg: alg, kid: kid, key: key, public: public, token: token, others: others}
		others[alg] = f
		out[alg] = struct {
			forger
			*world
		}{f, w}
	}
	add("HS256", []byte(accessSecret), []byte("auth"), func(*auth.Config) {})
	for alg, s := range signers(t) {
		w := onMemory(t, signedBy(s))
		add(alg, s, w.JWKS(), signedBy(s))
	}
	return out
}

// mutations are texts that must be refused, by a name for each.
type mutations map[string]string

// headers are other headers, each signed by the right key.
func (m mutations) headers(t *testing.T, f forger, payload string) {
	t.Helper()
	own := fmt.Sprintf(`{"alg":%q,"kid":%q,"typ":"at+jwt"}`, f.alg, f.kid)
	require.Equal(t, own, segmentOf(t, f.token, 0))
	edits := []string{``, `{}`, `[]`, `null`, `"x"`, own + " ", " " + own, "\ufeff" + own, own + own, own[:len(own)-1], strings.ReplaceAll(own, `":"`, `": "`)}
	for _, alg := range []string{"none", "None", "NONE", "nOnE", "", "HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "ES256", "ES384", "ES512", "ES256K", "EdDSA", "Ed25519", "dir", strings.ToLower(f.alg), f.alg + " ", f.alg + "\x00"} {
		if alg != f.alg {
			edits = append(edits, fmt.Sprintf(`{"alg":%q,"kid":%q,"typ":"at+jwt"}`, alg, f.kid), fmt.Sprintf(`{"alg":%q,"typ":"at+jwt"}`, alg))
		}
	}
	for _, value := range []string{"null", "1", "true", "[]", `["` + f.alg + `"]`, "{}"} {
		edits = append(edits, fmt.Sprintf(`{"alg":%s,"kid":%q,"typ":"at+jwt"}`, value, f.kid), fmt.Sprintf(`{"alg":%q,"kid":%s,"typ":"at+jwt"}`, f.alg, value), fmt.Sprintf(`{"alg":%q,"kid":%q,"typ":%s}`, f.alg, f.kid, value))
	}
	for _, kid := range []string{"", "x", "/dev/null", "../../../../dev/null", "' OR 1=1 --", "http://169.254.169.254/", strings.ToUpper(f.kid), f.kid + "=", f.kid[1:], f.kid + f.kid} {
		edits = append(edits, fmt.Sprintf(`{"alg":%q,"kid":%q,"typ":"at+jwt"}`, f.alg, kid))
	}
	for _, typ := range []string{"", "JWT", "jwt", "rt+jwt", "AT+JWT", "application/at+jwt", "at+jwt ", "dpop+jwt", "logout+jwt"} {
		edits = append(edits, fmt.Sprintf(`{"alg":%q,"kid":%q,"typ":%q}`, f.alg, f.kid, typ))
	}
	for _, member := range []string{
		`"crit":["exp"]`, `"crit":[]`, `"b64":false`, `"b64":false,"crit":["b64"]`, `"zip":"DEF"`, `"enc":"A128GCM"`, `"cty":"JWT"`, `"jku":"https://evil.example/"`,
		`"x5u":"https://evil.example/"`, `"x5c":["AAAA"]`, `"x5t":"AAAA"`, `"jwk":{"kty":"oct","k":""}`, `"alg":"none"`, `"kid":"x"`, `"typ":"JWT"`, `"exp":1`, `"iss":"auth"`, `"":0`,
	} {
		edits = append(edits, own[:len(own)-1]+","+member+"}", "{"+member+","+own[1:])
	}
	edits = append(edits, fmt.Sprintf(`{"kid":%q,"alg":%q,"typ":"at+jwt"}`, f.kid, f.alg), fmt.Sprintf(`{"alg":%q,"kid":%q}`, f.alg, f.kid), fmt.Sprintf(`{"alg":%q,"typ":"at+jwt"}`, f.alg))
	for i, header := range edits {
		m[fmt.Sprintf("header %d: %.80s", i, header)] = f.sign(t, header, payload)
		m[fmt.Sprintf("header %d, unsigned: %.80s", i, header)] = base64URL(header) + "." + base64URL(payload) + "."
	}
}

// payloads are other payloads, each signed by the right key.
func (m mutations) payloads(t *testing.T, f forger) {
	t.Helper()
	own := membersOf(t, f.token)
	edits := []string{"", "{}", "[]", "null", "x", own.String() + "x", own.String() + own.String(), own.String()[1:], "\ufeff" + own.String(), own.with("x", "\"\xff\"").String()}
	for _, x := range own {
		edits = append(edits, own.without(x.name).String(), append(own.with("x", "1"), x).String(), own.without(x.name).with(strings.ToUpper(x.name), x.value).String())
		for _, value := range []string{"null", "true", "[]", `""`, "[" + x.value + "]", "1.5", "-1", `{"x":` + x.value + "}"} {
			edits = append(edits, own.with(x.name, value).String())
		}
	}
	edits = append(
		edits, own.with("exp", "1").String(), own.with("exp", "1e99").String(), own.with("nbf", "253402300799").String(), own.with("iss", `"auth "`).String(), own.with("aud", `"other"`).String(),
		own.with("sid", `"x"`).String(), own.with("sub", repeated("1", 65)).String(),
	)
	for i, payload := range edits {
		m[fmt.Sprintf("payload %d: %.80s", i, payload)] = f.sign(t, segmentOf(t, f.token, 0), payload)
	}
	// With the signature of the payload that it was.
	parts := strings.Split(f.token, ".")
	for _, x := range own {
		m["unsigned "+x.name] = parts[0] + "." + base64URL(own.with(x.name, `"admin"`).String()) + "." + parts[2]
	}
}

// signatures are other signatures of the good token.
func (m mutations) signatures(t *testing.T, f forger) {
	t.Helper()
	signed := f.token[:strings.LastIndexByte(f.token, '.')]
	own := segmentOf(t, f.token, 2)
	put := func(name, signature string) { m["signature, "+name] = signed + "." + base64URL(signature) }
	for i := range min(len(own), 64) {
		b := []byte(own)
		b[i*len(b)/min(len(own), 64)] ^= 1 << (i % 8)
		put(fmt.Sprintf("bit flipped %d", i), string(b))
	}
	for name, signature := range map[string]string{
		"cut": own[:len(own)-1], "cut before": own[1:], "half": own[:len(own)/2], "zero after": own + "\x00", "zero before": "\x00" + own, "twice": own + own, "zeros": string(make([]byte, len(own))),
		"ones": strings.Repeat("\xff", len(own)), "a byte": "\x00", "64 zeros": string(make([]byte, 64)), "1 KiB": string(make([]byte, 1<<10)), "backwards": own[len(own)/2:] + own[:len(own)/2],
		"of the payload": f.signature(t, signed[strings.IndexByte(signed, '.')+1:]), "of nothing": f.signature(t, ""), "of another token": f.signature(t, signed+"A"),
	} {
		put(name, signature)
	}
	for alg, other := range f.others {
		if alg == f.alg {
			continue
		}
		header := fmt.Sprintf(`{"alg":%q,"kid":%q,"typ":"at+jwt"}`, alg, f.kid)
		confused := base64URL(header) + signed[strings.IndexByte(signed, '.'):]
		put("by "+alg, other.signature(t, signed))
		m["signature and header by "+alg] = confused + "." + base64URL(other.signature(t, confused))
		m["token of "+alg] = other.token
	}
	for i, secret := range [][]byte{nil, {}, f.public, []byte(f.kid), []byte("secret"), {0}} { // a public key as a secret
		for _, alg := range []string{"HS256", "HS384", "HS512"} {
			header := fmt.Sprintf(`{"alg":%q,"kid":%q,"typ":"at+jwt"}`, alg, f.kid)
			confused := base64URL(header) + signed[strings.IndexByte(signed, '.'):]
			mac, err := jwt.GetSigningMethod(alg).Sign(confused, secret)
			require.NoError(t, err)
			m[fmt.Sprintf("%s by secret %d", alg, i)] = confused + "." + base64URL(string(mac))
			mac, err = jwt.GetSigningMethod(alg).Sign(signed, secret)
			require.NoError(t, err)
			put(fmt.Sprintf("%s by secret %d", alg, i), string(mac))
		}
	}
	if pub, ok := f.key.(ed25519.PrivateKey); ok {
		put("small order", string(pub[32:])+string(make([]byte, 32)))
		order, _ := new(big.Int).SetString("7237005577332262213973186563042994240857116359379907606001950938285454250989", 10)
		s := []byte(own)
		for i := range 32 {
			s[32+i] = own[63-i]
		}
		n := new(big.Int).Add(new(big.Int).SetBytes(s[32:]), order) // S+L for S
		be := n.FillBytes(make([]byte, 32))
		for i := range 32 {
			s[32+i] = be[31-i]
		}
		put("S of L more", string(s))
	}
	if f.alg == "ES256" {
		n := elliptic.P256().Params().N
		number := func(x *big.Int) string { return string(x.FillBytes(make([]byte, 32))) }
		for i, rs := range [][2]*big.Int{{new(big.Int), new(big.Int)}, {new(big.Int), big.NewInt(1)}, {big.NewInt(1), new(big.Int)}, {n, n}, {n, big.NewInt(1)}, {big.NewInt(1), n}, {big.NewInt(1), big.NewInt(1)}} {
			put(fmt.Sprintf("edge %d", i), number(rs[0])+number(rs[1]))
		}
		put("s and r", own[32:]+own[:32])
		put("n-r", number(new(big.Int).Sub(n, new(big.Int).SetBytes([]byte(own[:32]))))+own[32:])
		put("DER", "\x30\x44\x02\x20"+own[:32]+"\x02\x20"+own[32:])
		put("padded halves", "\x00"+own[:32]+"\x00"+own[32:])
	}
}

// texts are other texts of the good token.
func (m mutations) texts(t *testing.T, f forger) {
	t.Helper()
	parts := strings.Split(f.token, ".")
	for name, text := range map[string]string{
		"nothing": "", "dots": "..", "dot after": f.token + ".", "dot before": "." + f.token, "padding": f.token + "=", "no signature": parts[0] + "." + parts[1] + ".", "two segments": parts[0] + "." + parts[1],
		"four segments": f.token + "." + parts[2], "no payload": parts[0] + ".." + parts[2], "no header": "." + parts[1] + "." + parts[2], "swapped": parts[1] + "." + parts[0] + "." + parts[2],
		"five segments": parts[0] + ".." + parts[1] + "." + parts[2] + ".", "upper case": strings.ToUpper(f.token), "lower case": strings.ToLower(f.token), "twice": f.token + f.token, "escaped": strings.ReplaceAll(f.token, ".", "%2E"),
		"JSON": fmt.Sprintf(`{"protected":%q,"payload":%q,"signature":%q}`, parts[0], parts[1], parts[2]), "10 KiB of dots": strings.Repeat(".", 10<<10), "10 KiB of payload": parts[0] + "." + strings.Repeat("A", 10<<10) + "." + parts[2],
		"NUL": f.token + "\x00", "line break": parts[0] + ".\n" + parts[1] + "." + parts[2], "in two lines": parts[0] + "." + parts[1] + "\r\n." + parts[2], "not ASCII": f.token + "é", "fullwidth dot": strings.Replace(f.token, ".", "．", 1),
		"standard alphabet": parts[0] + "." + parts[1] + "." + base64.RawStdEncoding.EncodeToString([]byte("\xff\xfe\xfd")), "quoted": `"` + f.token + `"`, "a list": f.token + "," + f.token,
	} {
		m["text, "+name] = text
	}
	for i := range 60 {
		at := i * len(f.token) / 60
		m[fmt.Sprintf("cut at %d", at)] = f.token[:at]
		m[fmt.Sprintf("without %d", at)] = f.token[:at] + f.token[at+1:]
		m[fmt.Sprintf("one more at %d", at)] = f.token[:at] + "A" + f.token[at:]
	}
	for i, c := range "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_" {
		if last := len(f.token) - 1; f.token[last] != byte(c) {
			m[fmt.Sprintf("last character %d", i)] = f.token[:last] + string(c)
		}
	}
}

// At least 400 mutations of our tokens, for each algorithm, are refused by Verify and by a
// route over HTTP, and none of them panics. Those that a signature cannot tell apart are
// accepted (OWASP ASVS 5.0, 9.1.1 and 9.1.2).
//
// ASVS: 9.1.1, 9.1.2.
func TestMutationsOfTokens(t *testing.T) {
	for alg, f := range forgers(t) {
		t.Run(alg, func(t *testing.T) {
			header, payload := segmentOf(t, f.token, 0), segmentOf(t, f.token, 1)
			s := serve(t, f.Handler(""))
			profile := func(text string) int {
				if strings.Trim(text, " ") != text || strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' }) {
					return direct(t, f.Handler(""), newRequest(t, http.MethodGet, "/profile", "", bearer(text)...)).status // no client sends it
				}
				return s.do(t, http.MethodGet, "/profile", "", bearer(text)...).status
			}
			good := map[string]string{"its own": f.token, "signed again": f.sign(t, header, payload), "white space": f.sign(t, header, " "+payload+"\n"), "another member": f.sign(t, header, membersOf(t, f.token).with("x", "[1]").String())}
			if alg == "ES256" { // what both signatures say has one jti
				signed := f.token[:strings.LastIndexByte(f.token, '.')]
				own := segmentOf(t, f.token, 2)
				other := new(big.Int).Sub(elliptic.P256().Params().N, new(big.Int).SetBytes([]byte(own[32:]))).FillBytes(make([]byte, 32))
				good["n-s"] = signed + "." + base64URL(own[:32]+string(other))
			}
			for name, text := range good {
				claims, err := f.Verify(text)
				require.NoError(t, err, name)
				assert.Equal(t, payloadOf(t, f.token)["jti"], claims.ID)
				assert.Equal(t, http.StatusOK, profile(text), name)
			}

			m := mutations{}
			m.headers(t, f.forger, payload)
			m.payloads(t, f.forger)
			m.signatures(t, f.forger)
			m.texts(t, f.forger)
			distinct := map[string]bool{}
			for name, text := range m {
				if distinct[text] {
					continue
				}
				distinct[text] = true
				claims, err := f.Verify(text)
				require.ErrorIs(t, err, auth.ErrInvalidToken, "%s: %.300q", name, text)
				require.Zero(t, claims)
				require.Equal(t, http.StatusUnauthorized, profile(text), "%s: %.300q", name, text)
			}
			t.Logf("%d mutations", len(distinct))
			assert.GreaterOrEqual(t, len(distinct), 400)
		})
	}
}
