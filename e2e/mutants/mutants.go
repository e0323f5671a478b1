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

// mutants are faults that look harmless and break a promise of the sessions, the tokens or
// the limits.
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
				"handlers.go", "	tokens, err := a.Refresh(r.Context(), refreshToken, a.clientOf(r))\n",
				"	tokens, err := a.Refresh(r.Context(), refreshToken, a.clientOf(r))\n	if a.cookies != nil && err != nil {\n		a.cookies.clear(w, r)\n	}\n",
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
		{
			name:   "a limiter that fails open",
			edits:  []edit{{"limits.go", `case err != nil && strict:`, `case err != nil && strict && false:`}},
			module: ".", pkg: ".", test: "TestLimiterDown",
		},
		{
			name: "a limiter keyed by the raw e-mail",
			edits: []edit{
				{"auth.go", `a.begin(ctx, address.Key,`, `a.begin(ctx, in.Email+address.Key[:0],`},
				{"auth.go", `	user, err := t.userByEmail(ctx, t.emailKey)`, "	address, _ := email.Parse(in.Email)\n	user, err := t.userByEmail(ctx, address.Key)"},
			},
			module: ".", pkg: ".", test: "TestAccountKeyIsCanonical",
		},
		{
			name: "the budget taken after the hash",
			edits: []edit{
				{
					"attempt.go", "	claim := gate.Claim{Client: clientKey(c.IP)}\n",
					"	a.giveBack(ctx, t.spent...)\n	claim := gate.Claim{Client: clientKey(c.IP)}\n",
				},
				{
					"attempt.go", "	if !isCredentialFailure(err) {\n		t.giveBack(ctx, t.spent...)\n",
					"	if isCredentialFailure(err) {\n		_ = t.Authenticator.spend(ctx, t.client, true, t.spent)\n",
				},
			},
			module: ".", pkg: ".", test: "TestParallelGuesses/direct,_memstore",
		},
		{
			name:   "a skipped dummy compare",
			edits:  []edit{{"attempt.go", "		t.hasher.Unknown(password)\n", ""}},
			module: ".", pkg: ".", test: "TestRefusalsTellNothing",
		},
		{
			name: "X-Forwarded-For trusted from the left",
			edits: []edit{{
				"clientip/clientip.go", "			return h.walk(r.Header.Values(h.name), peer, isProxy)\n",
				"			first, _, _ := strings.Cut(r.Header.Get(h.name), \",\")\n			if addr, ok := h.parse(strings.Trim(first, \" \")); ok {\n				return addr\n			}\n" +
					"			return h.walk(r.Header.Values(h.name), peer, isProxy)\n",
			}},
			module: ".", pkg: ".", test: "TestSpoofedAddresses",
		},
		{
			name: "alg read from the header",
			edits: []edit{{
				"internal/token/token.go", "	key, ok := c.keys[header]\n",
				"	key, ok := c.keys[header]\n	if text, err := decode(header); err == nil && !ok {\n		var h struct{ Alg string }\n" +
					"		if json.Unmarshal(text, &h) == nil && jwt.GetSigningMethod(h.Alg) != nil {\n" +
					"			key, ok = c.signer, true\n			key.Method = jwt.GetSigningMethod(h.Alg)\n		}\n	}\n",
			}},
			module: ".", pkg: ".", test: "TestForgedHeaders",
		},
	}
}
