package auth_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// contractCase is a case of testdata/contract.json, which says how it is read.
type contractCase struct {
	Name          string            `json:"name"`
	Request       string            `json:"request"`
	JSON          json.RawMessage   `json:"json"`
	Text          *string           `json:"text"`
	Authorization *string           `json:"authorization"`
	Save          map[string]string `json:"save"`
	Both          *contractAnswer   `json:"both"`
	Default       *contractAnswer   `json:"default"`
	Compat        *contractAnswer   `json:"compat"`
	Why           string            `json:"why"`
}

type contractAnswer struct {
	Status int            `json:"status"`
	Body   map[string]any `json:"body"`
	Allow  string         `json:"allow"`
}

// defaultExtras are the members that a body of default mode may hold beside the listed.
var defaultExtras = []string{"code", "token_type", "expires_in", "device_token"}

// ASVS: 14.2.6, 15.3.1.
func TestContract(t *testing.T) {
	cases := readContract(t)
	t.Run("default", func(t *testing.T) {
		everywhere(t, func(t *testing.T, w *world) {
			runContract(t, w, cases, func(c contractCase) *contractAnswer { return c.Default }, defaultExtras)
		}, noLimits)
	})
	t.Run("compat", func(t *testing.T) {
		everywhere(t, func(t *testing.T, w *world) {
			runContract(t, w, cases, func(c contractCase) *contractAnswer { return c.Compat }, nil)
		}, noLimits, tutorialMode)
	})
}

// readContract returns the cases, with Both in place of Default and Compat.
func readContract(t *testing.T) []contractCase {
	t.Helper()
	f, err := os.Open("testdata/contract.json")
	require.NoError(t, err)
	defer func() { _ = f.Close() }()
	decoder := json.NewDecoder(f)
	decoder.DisallowUnknownFields()
	var file struct {
		About []string       `json:"about"`
		Cases []contractCase `json:"cases"`
	}
	require.NoError(t, decoder.Decode(&file))
	require.NotEmpty(t, file.Cases)
	for i, c := range file.Cases {
		if c.Both != nil {
			require.Nil(t, c.Default, c.Name)
			require.Nil(t, c.Compat, c.Name)
			file.Cases[i].Default, file.Cases[i].Compat = c.Both, c.Both
		}
		require.NotNil(t, file.Cases[i].Compat, c.Name)
	}
	return file.Cases
}

func runContract(t *testing.T, w *world, cases []contractCase, answer func(contractCase) *contractAnswer, extras []string) {
	t.Helper()
	s := serve(t, w.Handler("/api"))
	saved := map[string]string{}
	for _, c := range cases {
		t.Run(c.Name, func(t *testing.T) {
			got := s.send(t, c.request(t, s.url+"/api", saved))
			body := decodeJSON[map[string]any](t, got.body)
			if want := answer(c); want != nil {
				assert.Equal(t, want.Status, got.status)
				assert.Equal(t, want.Allow, got.header.Get("Allow"))
				assertContractBody(t, want, body, extras)
			}
			for name, member := range c.Save {
				text, ok := body[member].(string)
				require.True(t, ok, member)
				saved[name] = text
			}
		})
	}
}

func (c contractCase) request(t *testing.T, url string, saved map[string]string) *http.Request {
	t.Helper()
	method, path, ok := strings.Cut(c.Request, " ")
	require.True(t, ok)
	var headers []string
	body := string(c.JSON)
	if c.Text != nil {
		body = *c.Text
	}
	if c.JSON != nil || c.Text != nil {
		headers = append(headers, "Content-Type", jsonType)
	}
	if c.Authorization != nil {
		value := regexp.MustCompile(`\{\{(\w+)\}\}`).ReplaceAllStringFunc(*c.Authorization, func(s string) string {
			v := saved[strings.Trim(s, "{}")]
			require.NotEmpty(t, v, "nothing was saved as %s", s)
			return v
		})
		headers = append(headers, "Authorization", value)
	}
	return newRequest(t, method, url+path, body, headers...)
}

func assertContractBody(t *testing.T, want *contractAnswer, body map[string]any, extras []string) {
	t.Helper()
	expected := maps.Clone(want.Body)
	expected["status"] = float64(want.Status)
	for name := range body {
		if _, listed := expected[name]; !listed && slices.Contains(extras, name) {
			delete(body, name)
		}
	}
	assert.Equal(t, any(expected), filled(t, expected, body))
}

var jwtForm = regexp.MustCompile(`^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$`)

// filled is got with the placeholders of want in place of what they stand for.
func filled(t *testing.T, want, got any) any {
	t.Helper()
	switch want := want.(type) {
	case map[string]any:
		members, ok := got.(map[string]any)
		if !ok {
			return got
		}
		out := map[string]any{}
		for name, v := range members {
			out[name] = filled(t, want[name], v)
		}
		return out
	case string:
		text, isText := got.(string)
		number, isNumber := got.(float64)
		switch {
		case want == "<jwt>" && isText && jwtForm.MatchString(text),
			want == "<text>" && text != "",
			want == "<int>" && isNumber && number > 0 && number == float64(int64(number)):
			return want
		}
	}
	return got
}
