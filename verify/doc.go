// Package verify checks the access tokens of github.com/ostiary/auth in the host's other
// services. It needs the address of the issuer's /jwks.json and nothing else of it: no
// store, no secret, no package but this one.
//
//	v, err := verify.New(verify.Config{JWKSURL: "https://app.example.com/api/jwks.json"})
//	if err != nil { … }
//	mux.Handle("GET /orders", v.Require(orders))
//
// The issuer signs with auth.SignerKey; tokens of auth.HMACKey can be checked by itself
// alone. A session that was ended is accepted here until its access token expires.
package verify
