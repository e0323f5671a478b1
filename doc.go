// Package auth signs users up, logs them in, keeps their sessions and guards routes, in
// the process of a Go web app and on the MySQL database that it has.
//
// [New] makes an [Authenticator] over a store: package mysqlstore's on a *sql.DB, package
// memstore's for tests and demos, or one of the host's own for a users table that is
// there already. The Authenticator's handler serves the routes, its guards wrap the
// host's, and whatever HTTP can do a direct call can do, with the same checks:
//
//	store := mysqlstore.New(db, mysqlstore.Options{})
//	if err := store.Migrate(ctx); err != nil { … }
//	a, err := auth.New(store.Stores(), auth.Config{Tokens: auth.TokenOptions{
//		AccessKeys:  []auth.Key{auth.HMACKey(accessSecret)},
//		RefreshKeys: []auth.Key{auth.HMACKey(refreshSecret)},
//	}})
//	if err != nil { … }
//	mux.Handle("/api/", a.Handler("/api"))
//	mux.Handle("GET /orders", a.Require(orders))
//
// # Security model
//
// An access token is a short-lived JWT (RFC 9068) that is checked without the store. A
// refresh token is a JWT that names a session's row and a generation; the row says which
// is valid, so nothing in the database can be presented. With [CookieOptions], browsers
// keep both from scripts, and requests that another origin's page made are refused.
//
// A refresh is one conditional UPDATE. Of many at once one wins, and all are answered
// with the same successor. An old token is answered so for [TokenOptions].Grace; its use
// after that, and before it expires, ends the session. A thief who uses a stolen token
// within the grace shares the session until one of the two falls behind: docs/refresh.md.
//
// Sessions end by Logout, by the user's list of them, and when the user's AuthVersion
// moves: by another password, a disabling, a deletion. Access tokens live on until they
// expire, 20 minutes by default, save where RequireWith's Live asks the store.
//
// A user's row may have been created at most 5 minutes ([CreationSlack]) after the
// session or the access token that names it, so that an ID which a failover gives again
// opens nothing that was issued before. A plain Require asks no store and cannot look.
//
// Unknown addresses and wrong passwords are answered alike, after the same work. Signing
// up does tell whether an address is taken. Failed logins and sign-ups have budgets, and
// passwords are hashed a few at a time: docs/security.md.
package auth
