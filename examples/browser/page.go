package main

import (
	"embed"
	"io/fs"
	"net/http"

	"github.com/ostiary/auth"
)

// files are index.html and what belongs to it.
//
//go:embed page
var files embed.FS

// policy lets the page load what this server has, and nothing else: no script between the
// lines, no other origin, no frame around it. What a script writes into the page is text.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

// Handler serves the API under /api/ and the page everywhere else.
func Handler(a *auth.Authenticator) (http.Handler, error) {
	page, err := fs.Sub(files, "page")
	if err != nil {
		return nil, err
	}
	static := http.FileServerFS(page)
	mux := http.NewServeMux()
	mux.Handle("/api/", a.Handler("/api"))
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-cache") // page and script belong together
		static.ServeHTTP(w, r)
	})
	return secured(mux), nil
}

// secured adds the headers that every response of a browser app should have. Whoever ends
// TLS for the host's name adds Strict-Transport-Security.
func secured(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=()")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		next.ServeHTTP(w, r)
	})
}
