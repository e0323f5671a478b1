package main

// mutant is a fault to plant, and the test that has to see it.
type mutant struct {
	name   string
	edits  []edit
	module string // the folder of the test's module
	pkg    string // the test's package, in its module
	tags   string
	test   string // for -run: the test, and subtests after slashes
}

// edit replaces a text, which stands in the file exactly once.
type edit struct{ file, old, new string }

// mutants are faults that look harmless and break a promise of the sessions.
func mutants() []mutant {
	const (
		sql      = "mysqlstore/sessions_sql.go"
		sessions = "sessions.go"
	)
	return []mutant{
		{
			name:   "a rotation that does not look whether the session is revoked",
			edits:  []edit{{sql, `" AND s.generation = ? AND s.revoked_at IS NULL AND s.expires_at > ?"`, `" AND s.generation = ? AND s.expires_at > ?"`}},
			module: ".", pkg: "./mysqlstore", test: "TestConformance//RotateSession/Revoked",
		},
		{
			name:   "a rotation that does not look whose session it is",
			edits:  []edit{{sql, `WHERE s.id = ? AND s.user_id = ?"`, `WHERE s.id = ? AND (s.user_id = ? OR TRUE)"`}},
			module: ".", pkg: "./mysqlstore", test: "TestConformance//RotateSession/OtherUser",
		},
		{
			name:   "a retry whose exp is by the clock",
			edits:  []edit{{sessions, `		tokens, err := r.mint(s.Session, s.Generation, r.now, r.extra)`, "		s.ExpiresAt = r.rotation.ExpiresAt\n		tokens, err := r.mint(s.Session, s.Generation, r.now, r.extra)"}},
			module: ".", pkg: ".", test: "TestInvariant04",
		},
		{
			name:   "a revocation that ends with the request",
			edits:  []edit{{"retry.go", `context.WithTimeout(context.WithoutCancel(ctx), revokeDeadline)`, `context.WithTimeout(ctx, revokeDeadline)`}},
			module: ".", pkg: ".", test: "TestInvariant06",
		},
		{
			name:   "a session's insert that does not look at the user's version",
			edits:  []edit{{sql, `"WHERE id = ? AND auth_version = ? LOCK IN SHARE MODE"`, `"WHERE id = ? AND (auth_version = ? OR TRUE) LOCK IN SHARE MODE"`}},
			module: ".", pkg: ".", test: "TestInvariant12",
		},
		{
			name: "the host's claims asked for after the UPDATE",
			edits: []edit{
				{sessions, "	if r.extra, err = r.extraClaims(ctx, successor); err != nil {\n		return err\n	}\n", ""},
				{sessions, "			r.emitWin(ctx, recovering)\n			return r.tokens, nil\n", "			r.emitWin(ctx, recovering)\n			_, err := r.extraClaims(ctx, Session{})\n			return r.tokens, err\n"},
			},
			module: ".", pkg: ".", test: "TestInvariant10",
		},
		{
			name: "cookies cleared by a refused refresh",
			edits: []edit{{
				"handlers.go", "	tokens, err := a.Refresh(r.Context(), refreshToken, clientOf(r))\n",
				"	tokens, err := a.Refresh(r.Context(), refreshToken, clientOf(r))\n	if a.cookies != nil && err != nil {\n		a.cookies.clear(w, r)\n	}\n",
			}},
			module: ".", pkg: ".", test: "TestCookies",
		},
		{
			name:   "an attempt that does not know its own success",
			edits:  []edit{{sessions, `case behind == 1 && s.RotatedBy == r.rotation.Attempt:`, `case behind == 1 && s.RotatedBy == AttemptID{1}:`}},
			module: ".", pkg: ".", test: "TestInvariant03",
		},
		{
			name: "a grace by Config.Now",
			edits: []edit{{
				sessions, "		return a.stores.Refresh.ReadSession(ctx, id)\n",
				"		state, err := a.stores.Refresh.ReadSession(ctx, id)\n		state.ReadAt = a.cfg.Now()\n		return state, err\n",
			}},
			module: "e2e", pkg: ".", test: "TestInvariant11",
		},
		{
			name:   "a judging read that does not wait for the cluster",
			edits:  []edit{{"mysqlstore/sessions.go", `		read:    statement{query: readShared + waiting, syncWait: syncedRead},`, `		read:    statement{query: readShared + waiting},`}},
			module: "e2e", pkg: "./cluster", tags: "cluster", test: "TestStaleNodeReads/galera/ReadSession",
		},
	}
}
