package auth_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ostiary/auth"
)

const (
	tooCommon = "Password must not be one of the most common ones"
	tooNear   = "Password must not be made of your name, your e-mail address or the name of this site"
)

// The most common passwords are nobody's, in whatever case; those that only hold one are.
//
// ASVS: 6.2.4.
func TestCommonPasswordsAreRefused(t *testing.T) {
	w := onMemory(t, noLimits)
	for _, common := range []string{"password", "PASSWORD", "Password1", "12345678", "baseball", "football", "iloveyou", "trustno1", "qwertyuiop"} {
		assert.Equal(t, tooCommon, w.trySignup(t, ann, common), common)
	}
	for i, other := range []string{"password of mine", "my baseball", "baseballs are", "1234567890123 and on"} {
		assert.Empty(t, w.trySignup(t, stranger(i), other), other)
	}
	s := serve(t, w.Handler(""))
	got := s.do(t, http.MethodPost, "/signup", object(t, "name", "Ann Lee", "email", ann, "password", "baseball"))
	assert.Equal(t, http.StatusUnprocessableEntity, got.status)
	assert.Equal(t, map[string]string{"password": tooCommon}, got.message(t).Errors)
}

// A password that is made of the user's name and address or of the site's words is
// refused, and one that has 8 characters beside them is not.
//
// ASVS: 2.2.3, 6.2.11.
func TestPasswordsOfWordsThatAreKnown(t *testing.T) {
	w := onMemory(t, noLimits, func(c *auth.Config) { c.SiteWords = []string{"Ostiary", "Möbelhaus Süd", "R.2.D.2."} })
	try := func(password string) string {
		_, err := w.Signup(t.Context(), auth.SignupInput{Name: "Annabel Leeson", Email: "bellatrix@nowhere.example", Password: password})
		if invalid, ok := errors.AsType[*auth.ValidationError](err); ok {
			return invalid.Fields["password"]
		}
		require.NoError(t, err)
		require.NoError(t, w.stores.Accounts.DeleteUser(t.Context(), w.idOf(t, "bellatrix@nowhere.example")))
		return ""
	}
	for _, near := range []string{
		"annabel leeson", "AnnabelLeeson", "leeson1234", "1bellatrix!", "bellatrix@nowhere.example", "nowhere2026", "BELLATRIX99",
		"ostiary2026", "OSTIARYostiary", "möbelhaus süd", "MÖBELHAUS", "ostiary-leeson", "annabel1leeson2", "r.2.d.2.x1",
	} {
		assert.Equal(t, tooNear, try(near), near)
	}
	for _, far := range []string{"annabel and eight", "ostiary is a word", "correct horse", "ann bel lee son"} {
		assert.Empty(t, try(far), far)
	}
}

// Short names count as a whole, in whatever form of Unicode, and with anything between
// them; they do not make a phrase that has them in it a bad one.
func TestPasswordsOfShortWordsThatAreKnown(t *testing.T) {
	w := onMemory(t, noLimits, func(c *auth.Config) { c.SiteWords = []string{"IBM", "X", "Caf\u00e9"} })
	problem := func(name, password string) string {
		_, err := w.Signup(t.Context(), auth.SignupInput{Name: name, Email: "who@nowhere.example", Password: password})
		if invalid, ok := errors.AsType[*auth.ValidationError](err); ok {
			return invalid.Fields["password"]
		}
		require.NoError(t, err)
		require.NoError(t, w.stores.Accounts.DeleteUser(t.Context(), w.idOf(t, "who@nowhere.example")))
		return ""
	}
	for _, near := range []struct{ name, password string }{
		{"Ann Lee", "annleeannlee"},
		{"Ann Lee", "AnnLee1234567"},
		{"Ann Lee", "ann lee ann lee"},
		{"Ann Lee", "ann.lee-ann.lee"},
		{"Ann Lee", "A.n.n-L.e.e-2"},
		{"Ann Lee", "annlee!!!!!!!!!!"},
		{"Ann-Lee", "annlee2026!"},
		{"王小明", "王小明王小明王小明"},
		{"王小明", "王小明-----王小明"},
		{"Zo\u00eb", "Zo\u00ebZo\u00ebZo\u00eb"},
		{"Zo\u00eb", "Zoe\u0308Zoe\u0308Zoe\u0308"},
		{"M\u00fcller", "Mu\u0308llerMu\u0308ller"},
		{"Mu\u0308ller", "M\u00dcLLER 2026"},
		{"Ann Lee", "ibmibmibm"},
		{"Ann Lee", "ibm.ibm.ibm"},
		{"Ann Lee", "IBM........IBM"},
		{"Ann Lee", "ibm-annlee-ibm"},
		{"Ann Lee", "cafe\u0301cafe\u0301caf\u00e9"},
	} {
		assert.Equal(t, tooNear, problem(near.name, near.password), near)
	}
	for _, far := range []struct{ name, password string }{
		{"Ann Lee", "ann and lee have a boat"},
		{"Ann Lee", "Ann Lee's boat leaks"},
		{"Ann Lee", "cannonball"}, // of a part that is short
		{"A", "bananarama"},
		{"Ann Lee", "xxoxxoxxoxx"},
		{"王小明", "王小明喜欢在河边钓鱼和游泳"},
		{"Ann Lee", "no ibm mainframe"},
		{"Ann Lee", "--------!!"},                 // none of the words is in it
		{"Ann Lee", strings.Repeat("o\u0308", 4)}, // 8 code points as it was typed
	} {
		assert.Empty(t, problem(far.name, far.password), far)
	}
}

// idOf is the ID of a user who has signed up.
func (w *world) idOf(t *testing.T, emailKey string) auth.UserID {
	t.Helper()
	user, err := w.stores.Users.UserByEmail(t.Context(), emailKey)
	require.NoError(t, err)
	return user.ID
}
