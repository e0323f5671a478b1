package pwned_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/ostiary/auth/pwned"
)

// A host's own form asks before it takes a new password.
func ExampleChecker_Count() {
	// In place of the public service, which the zero Checker asks.
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/range/5BAA6" { // of the SHA-1 of "password"
			_, _ = fmt.Fprint(w, "1E4C9B93F3F0682250B6CF8331B7EE68FD8:9545824\r\n")
		}
		_, _ = fmt.Fprint(w, "0018A45C4D1DEF81644B54AB7F969B88D65:0\r\n") // padding
	}))
	leaks := pwned.Checker{URL: server.URL + "/range"}

	say := func(password string) {
		n, err := leaks.Count(context.Background(), password)
		switch {
		case errors.Is(err, pwned.ErrUnavailable):
			fmt.Println("try again later")
		case err != nil:
			fmt.Println(err)
		case n > 0:
			fmt.Println("found in leaks", n, "times")
		default:
			fmt.Println("not found")
		}
	}
	say("password")
	say("correct horse battery staple")
	server.Close()
	say("password")

	// Output:
	// found in leaks 9545824 times
	// not found
	// try again later
}
