package storetest_test

import "slices"

// fault is something that a store may do wrong, and cases that must fail for it.
type fault struct {
	name       string
	fails      []string
	hostsUsers bool // planted in a store that does not hold the users
}

// both are the case of this name of the two operations that move a generation.
func both(names ...string) []string {
	var all []string
	for _, name := range names {
		all = append(all, "RotateSession/"+name, "RecoverSession/"+name)
	}
	return all
}

func faults() []fault {
	return slices.Concat(userFaults(), sessionFaults(), changeFaults(), controlFaults(), purgeFaults(), accountFaults())
}

// each is the case of this name of every operation of an AccountStore.
func each(name string) []string {
	return []string{"SetDisabled/" + name, "SetPassword/" + name, "DeleteUser/" + name}
}

func userFaults() []fault {
	return []fault{
		{name: "users: looks, then inserts", fails: []string{"CreateUser/Race"}},
		{name: "users: a duplicate is unavailable", fails: []string{"CreateUser/Taken", "CreateUser/Race"}},
		{name: "users: a duplicate changes the first", fails: []string{"CreateUser/Taken"}},
		{name: "users: keys are folded", fails: []string{"CreateUser/KeysApart", "UserByEmail/Unknown"}},
		{name: "users: keys are padded", fails: []string{"CreateUser/KeysApart", "UserByEmail/Unknown"}},
		{name: "users: keys are cut", fails: []string{"CreateUser/KeysApart"}},
		{name: "users: the address is the key", fails: []string{"CreateUser/ReadBack"}},
		{name: "users: names are cut by bytes", fails: []string{"CreateUser/ReadBack"}},
		{name: "users: names are escaped", fails: []string{"CreateUser/ReadBack"}},
		{name: "users: hashes are cut", fails: []string{"CreateUser/ReadBack"}},
		{name: "users: AuthVersion from 0", fails: []string{"CreateUser/ReadBack"}},
		{name: "users: CreatedAt by another clock", fails: []string{"CreateUser/CreatedAt"}},
		{name: "users: IDs with leading zeros", fails: []string{"CreateUser/IDs"}},
		{name: "users: IDs are given again", fails: []string{"CreateUser/IDNotReused"}},
		{name: "users: IDs are trimmed", fails: []string{"UserByID/Unknown", "UpdatePassword/Unknown"}},
		{name: "users: IDs are read as numbers", fails: []string{"UserByID/Unknown", "UpdatePassword/Unknown"}},
		{name: "users: unknown is no error", fails: []string{"UserByEmail/Unknown", "UserByID/Deleted", "CreateUser/KeysApart"}},
		{name: "passwords: no comparison", fails: []string{"UpdatePassword/NotOld", "UpdatePassword/Race"}},
		{name: "passwords: comparison by collation", fails: []string{"UpdatePassword/NotOld"}},
		{name: "passwords: read, then written", fails: []string{"UpdatePassword/Race", "SetPassword/RaceUpdatePassword"}},
		{name: "passwords: the rehash ends sessions", fails: []string{"UpdatePassword/Swapped"}},
		{name: "context: not heeded", fails: []string{"Context/Canceled", "Context/DeadlineExceeded"}},
		{name: "context: writes, then fails", fails: []string{"Context/Canceled", "Context/DeadlineExceeded"}},
		{name: "context: a deadline is no ErrUnavailable", fails: []string{"Context/DeadlineExceeded"}},
	}
}

func sessionFaults() []fault {
	return []fault{
		{name: "instants: rounded to the microsecond", fails: append(both("Instants"), "CreateSession/Instants")},
		{name: "instants: cut to the second", fails: append(both("Instants"), "CreateSession/Instants")},
		{name: "instants: without their zone", fails: append(both("Instants"), "CreateSession/Instants")},
		{name: "clients: IPv4 only", fails: append(both("Client", "ReadBack"), "CreateSession/Client")},
		{name: "clients: agents are cut by bytes", fails: append(both("Client"), "CreateSession/Client")},
		{name: "clients: agents are not cut", fails: []string{"CreateSession/Client"}},
		{name: "sessions: created unconditionally", fails: []string{
			"CreateSession/UserUnknown", "CreateSession/AuthVersion", "CreateSession/UserChanged", "CreateSession/UserDeleted",
		}},
		{name: "sessions: created whatever the version", fails: []string{"CreateSession/AuthVersion", "CreateSession/UserChanged"}},
		{name: "sessions: of known users only", fails: []string{"CreateSession/UserUnknown", "CreateSession/UserIDs"}, hostsUsers: true},
		{name: "sessions: IDs are padded", fails: []string{"CreateSession/IDs"}},
		{name: "sessions: a repeat is an error", fails: []string{"CreateSession/Repeated", "CreateSession/Race"}},
		{name: "sessions: a repeat starts anew", fails: []string{"CreateSession/Repeated"}},
		{name: "sessions: CreatedAt as given", fails: []string{"CreateSession/ReadBack", "ReadSession/Clock"}},
		{name: "reads: by a replica that lags", fails: append(both("ReadBack", "Repeated"), "ReadSession/Acknowledged", "RevokeSession/ReadBack")},
		{name: "reads: unknown is no error", fails: append(both("SessionUnknown"), "ReadSession/Unknown", "CreateSession/UserUnknown", "RevokeSession/Unknown")},
		{name: "finds: by a replica that lags", fails: append(both("ReadBack", "Repeated"), "SessionByID/Acknowledged", "RevokeSession/ReadBack")},
		{name: "finds: unknown is no error", fails: []string{"SessionByID/Unknown"}},
		{name: "reads: shared memory", fails: []string{"ReadSession/Copy"}},
		{name: "reads: ReadAt by another clock", fails: []string{"ReadSession/Clock"}},
		{name: "reads: UserCurrent always", fails: both("AuthVersion", "UserDeleted", "UserCreatedLater")},
		{name: "reads: UserCurrent always", fails: []string{"CreateSession/ReadBack", "CreateSession/UserUnknown"}, hostsUsers: true},
		{name: "revocation: overwrites", fails: []string{"RevokeSession/FirstStays", "RevokeSession/Race"}},
		{name: "revocation: reads, then writes", fails: []string{"RevokeSession/Race", "RotateSession/RaceRevoke"}},
		{name: "revocation: any user's", fails: []string{"RevokeSession/OtherUser"}},
		{name: "revocation: every session of the user's", fails: []string{"RevokeSession/OtherSessions"}},
		{name: "revocation: unknown is an error", fails: []string{"RevokeSession/Unknown"}},
		{name: "revocation: forgets the reason", fails: []string{"RevokeSession/ReadBack"}},
		{name: "revocation: moves the generation", fails: []string{"RevokeSession/ReadBack"}},
		{name: "revocation: is not stored", fails: append(both("Revoked"), "RevokeSession/ReadBack", "RotateSession/RaceRevoke")},
	}
}

func changeFaults() []fault {
	return []fault{
		{name: "guards: user_id", fails: both("OtherUser")},
		{name: "guards: user_id by collation", fails: []string{"CreateSession/UserIDs"}, hostsUsers: true},
		{name: "guards: revoked_at", fails: append(both("Revoked"), "RotateSession/RaceRevoke")},
		{name: "guards: expires_at", fails: both("Expired")},
		{name: "guards: expires_at or equal", fails: both("Expired")},
		{name: "guards: Now rounded up", fails: both("Expired")},
		{name: "guards: the user", fails: both("AuthVersion", "UserDeleted", "UserCreatedLater")},
		{name: "guards: a missing user is overlooked", fails: both("UserDeleted")},
		{name: "guards: auth_version", fails: both("AuthVersion")},
		{name: "guards: auth_version", fails: both("AuthVersion"), hostsUsers: true},
		{name: "guards: the user's creation", fails: both("UserCreatedLater")},
		{name: "guards: the user's creation", fails: both("UserCreatedLater"), hostsUsers: true},
		{name: "guards: no slack", fails: both("UserCreatedLater")},
		{name: "guards: no slack", fails: both("UserCreatedLater"), hostsUsers: true},
		{name: "window: ignored", fails: []string{"RotateSession/Window", "RotateSession/WindowEighth", "RotateSession/WindowFuture", "RecoverSession/Window"}},
		{name: "window: the seventh", fails: []string{"RotateSession/Window", "RotateSession/WindowEighth"}},
		{name: "window: the newest", fails: []string{"RotateSession/Window", "RotateSession/WindowEighth"}},
		{name: "window: age without a sign", fails: []string{"RotateSession/WindowFuture"}},
		{name: "window: zero is a window", fails: []string{"RotateSession/WindowFuture"}},
		{name: "window: zero forbids", fails: []string{"RotateSession/WindowZero", "RotateSession/Retired"}},
		{name: "rotation: reads, then writes", fails: append(
			each("RaceRotate"), "RotateSession/Race", "RotateSession/RaceRevoke", "RecoverSession/RaceRotate",
			"RevokeUserSessions/RaceRotate", "RevokeAllSessions/RaceRotate",
		)},
		{name: "rotation: any generation", fails: []string{"RotateSession/Generation", "RotateSession/Race", "RotateSession/Repeated"}},
		{name: "rotation: older generations too", fails: []string{"RotateSession/Generation", "RotateSession/Race", "RotateSession/Repeated"}},
		{name: "rotation: its siblings too", fails: both("OtherSessions")},
		{name: "rotation: RotatedBy is not set", fails: both("ReadBack", "Repeated", "Race")},
		{name: "rotation: ExpiresAt is not set", fails: both("ReadBack", "Instants")},
		{name: "rotation: Client is not set", fails: both("ReadBack", "Client")},
		{name: "rotation: AuthenticatedAt by Now", fails: both("ReadBack", "AuthenticatedAt")},
		{name: "rotation: AuthenticatedAt is not set", fails: both("AuthenticatedAt", "Race")},
		{name: "rotation: Retired oldest first", fails: []string{"RotateSession/Retired"}},
		{name: "rotation: Retired grows", fails: []string{"RotateSession/Retired"}},
		{name: "rotation: Retired by another clock", fails: []string{"RotateSession/Retired", "ReadSession/Clock"}},
		{name: "recovery: reads, then writes", fails: []string{"RecoverSession/Race"}},
		{name: "recovery: an equal generation", fails: []string{"RecoverSession/Generation"}},
		{name: "recovery: heeds the window", fails: []string{"RecoverSession/Window"}},
		{name: "recovery: Retired goes on", fails: []string{"RecoverSession/Retired", "RecoverSession/Window"}},
		{name: "recovery: all of Retired is now", fails: []string{"RecoverSession/Retired", "RecoverSession/Window"}},
		{name: "recovery: to the presented generation", fails: []string{"RecoverSession/Generation", "RecoverSession/ReadBack"}},
	}
}

func controlFaults() []fault {
	return []fault{
		{name: "user's sessions: forget the reason", fails: []string{"RevokeUserSessions/ReadBack", "RevokeUserSessions/Keep"}},
		{name: "user's sessions: move the expiry", fails: []string{"RevokeUserSessions/ReadBack"}},
		{name: "user's sessions: keep none", fails: []string{"RevokeUserSessions/Keep"}},
		{name: "user's sessions: a stranger's keeps all", fails: []string{"RevokeUserSessions/Keep"}},
		{name: "user's sessions: an unknown one keeps all", fails: []string{"RevokeUserSessions/Keep"}},
		{name: "user's sessions: any user's", fails: []string{"RevokeUserSessions/OtherUser", "RevokeUserSessions/ReadBack"}},
		{name: "user's sessions: IDs are trimmed", fails: []string{"RevokeUserSessions/OtherUser"}},
		{name: "user's sessions: overwrite revocations", fails: []string{"RevokeUserSessions/FirstStays", "RevokeUserSessions/Race"}},
		{name: "user's sessions: read, then write", fails: []string{"RevokeUserSessions/RaceRotate", "RevokeUserSessions/Race"}},
		{name: "everybody's sessions: forget the reason", fails: []string{"RevokeAllSessions/Before"}},
		{name: "everybody's sessions: move the expiry", fails: []string{"RevokeAllSessions/Before"}},
		{name: "everybody's sessions: whenever created", fails: []string{"RevokeAllSessions/Before"}},
		{name: "everybody's sessions: at the instant too", fails: []string{"RevokeAllSessions/Before"}},
		{name: "everybody's sessions: by AuthenticatedAt", fails: []string{"RevokeAllSessions/Before"}},
		{name: "everybody's sessions: by the second", fails: []string{"RevokeAllSessions/Before"}},
		{name: "everybody's sessions: one user's", fails: []string{"RevokeAllSessions/Before", "RevokeAllSessions/FirstStays"}},
		{name: "everybody's sessions: overwrite revocations", fails: []string{"RevokeAllSessions/FirstStays"}},
		{name: "everybody's sessions: count what is there", fails: []string{"RevokeAllSessions/Before", "RevokeAllSessions/FirstStays"}},
		{name: "everybody's sessions: do the first thousand", fails: []string{"RevokeAllSessions/Many"}},
		{name: "everybody's sessions: read, then write", fails: []string{"RevokeAllSessions/RaceRotate", "RevokeAllSessions/Race"}},
		{name: "lists: any user's", fails: []string{"SessionsByUser/OtherUser"}},
		{name: "lists: IDs are trimmed", fails: []string{"SessionsByUser/OtherUser"}},
		{name: "lists: none is an error", fails: []string{"SessionsByUser/OtherUser", "SessionsByUser/ReadBack"}},
		{name: "lists: oldest first", fails: []string{"SessionsByUser/ReadBack", "SessionsByUser/Limit"}},
		{name: "lists: by last use", fails: []string{"SessionsByUser/ReadBack"}},
		{name: "lists: no limit", fails: []string{"SessionsByUser/Limit"}},
		{name: "lists: the limit comes first", fails: []string{"SessionsByUser/Limit"}},
		{name: "lists: revoked ones", fails: []string{"SessionsByUser/Limit", "SessionsByUser/Live"}},
		{name: "lists: expired ones", fails: []string{"SessionsByUser/Live"}},
		{name: "lists: at the instant too", fails: []string{"SessionsByUser/Live"}},
		{name: "lists: by the store's clock", fails: []string{"SessionsByUser/Live"}},
		{name: "lists: current ones only", fails: []string{"SessionsByUser/UserChanged"}},
		{name: "lists: without Retired", fails: []string{"SessionsByUser/ReadBack", "SessionsByUser/Copy"}},
		{name: "lists: shared memory", fails: []string{"SessionsByUser/Copy"}},
		{name: "lists: ReadAt by another clock", fails: []string{"SessionsByUser/ReadBack"}},
		{name: "lists: by a replica that lags", fails: []string{"SessionsByUser/Acknowledged", "SessionsByUser/Live"}},
	}
}

func purgeFaults() []fault {
	return []fault{
		{name: "purge: at the instant too", fails: []string{"PurgeSessions/Before"}},
		{name: "purge: by MaxExpiresAt", fails: []string{"PurgeSessions/Before", "PurgeSessions/Limit"}},
		{name: "purge: by the second", fails: []string{"PurgeSessions/Before"}},
		{name: "purge: what is revoked too", fails: []string{"PurgeSessions/Revoked"}},
		{name: "purge: nothing that is revoked", fails: []string{"PurgeSessions/Revoked"}},
		{name: "purge: no limit", fails: []string{"PurgeSessions/Limit"}},
		{name: "purge: 0 with the last", fails: []string{"PurgeSessions/Before", "PurgeSessions/Race"}},
		{name: "purge: reads, then deletes", fails: []string{"PurgeSessions/RaceRotate"}},
		{name: "purge: counts what it read", fails: []string{"PurgeSessions/Race"}},
	}
}

func accountFaults() []fault {
	changes := func(name string) []string { return each(name)[:2] } // which leave the user there
	return []fault{
		{name: "accounts: AuthVersion stays", fails: append(changes("EndsSessions"), changes("RaceLogin")...)},
		{name: "accounts: AuthVersion twice, sessions never", fails: changes("EndsSessions")},
		{name: "accounts: forget the reason", fails: changes("EndsSessions")},
		{name: "accounts: overwrite revocations", fails: changes("EndsSessions")},
		{name: "accounts: everybody's sessions", fails: changes("OtherUsers")},
		{name: "accounts: every user", fails: changes("OtherUsers")},
		{name: "accounts: IDs are trimmed", fails: each("Unknown")},
		{name: "accounts: unknown is no error", fails: append(each("Unknown"), "DeleteUser/Race")},
		{name: "accounts: sessions, then the user", fails: changes("RaceLogin")},
		{name: "accounts: read, then write", fails: changes("RaceRotate")},
		{name: "accounts: look, then change", fails: []string{"SetDisabled/Race", "SetPassword/Race", "DeleteUser/Race"}},
		{name: "sessions: read the version, then insert", fails: each("RaceLogin")},
		{name: "disabling: is not stored", fails: []string{"SetDisabled/ReadBack"}},
		{name: "disabling: to enable again ends sessions", fails: []string{"SetDisabled/Repeated"}},
		{name: "disabling: a repeat ends nothing", fails: []string{"SetDisabled/Repeated"}},
		{name: "disabling: to enable ends nothing", fails: []string{"SetDisabled/EndsSessions", "SetDisabled/ReadBack"}},
		{name: "set password: an equal hash is no change", fails: []string{"SetPassword/EndsSessions", "SetPassword/ReadBack"}},
		{name: "set password: hashes are cut", fails: []string{"SetPassword/ReadBack"}},
		{name: "set password: only where there is one", fails: []string{"SetPassword/ReadBack"}},
		{name: "set password: enables", fails: []string{"SetPassword/ReadBack"}},
		{name: "delete: disables", fails: []string{"DeleteUser/ReadBack", "DeleteUser/EndsSessions"}},
		{name: "delete: the row stays", fails: []string{"DeleteUser/EndsSessions", "DeleteUser/ReadBack"}},
		{name: "delete: everybody's sessions", fails: []string{"DeleteUser/OtherUsers"}},
		{name: "delete: sessions, then the user", fails: []string{"DeleteUser/RaceLogin"}},
	}
}
