package auth

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"time"

	"github.com/ostiary/auth/limit"
)

// UserID identifies a user: 1 to 64 bytes of text that never name another user again.
// mysqlstore's and memstore's are positive decimal numbers without leading zeros.
type UserID string

// User is what the API returns of a user.
type User struct {
	ID    UserID `json:"id"`
	Name  string `json:"name"`
	Email string `json:"email"` // as typed at sign-up, trimmed; the address for mail
}

// UserRecord is a user as a UserStore holds it.
type UserRecord struct {
	User
	EmailKey     string    // the canonical address, unique
	PasswordHash string    `json:"-"` // "" if the user has no password: every one is wrong then
	AuthVersion  int64     // from 1; raised by every change that must end sessions
	CreatedAt    time.Time // by the store's clock
	Disabled     bool      // such a user cannot log in
}

// Format writes the record without its hash, whatever the verb.
func (r UserRecord) Format(f fmt.State, _ rune) {
	_, _ = io.WriteString(f, "auth.UserRecord{ID:"+string(r.ID)+" REDACTED}")
}

// LogValue is the record without its hash.
func (r UserRecord) LogValue() slog.Value {
	return slog.GroupValue(slog.String("id", string(r.ID)))
}

// NewUser is what a sign-up stores. Every field is checked and canonical: the name is
// at most 255 code points, address and key at most 254 bytes, the hash at most 255.
type NewUser struct {
	Name         string
	Email        string
	EmailKey     string
	PasswordHash string `json:"-"`
}

// Format writes nothing of the user, whatever the verb.
func (NewUser) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "auth.NewUser{REDACTED}") }

// LogValue is the same.
func (NewUser) LogValue() slog.Value { return slog.StringValue("REDACTED") }

// SessionID identifies a session: 128 bits, at least 80 of them random. Its text is 32
// lower-case hexadecimal digits, the claim sid.
type SessionID [16]byte

// String is the ID in hexadecimal.
func (id SessionID) String() string { return hex.EncodeToString(id[:]) }

// MarshalText is String for encoders.
func (id SessionID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText is ParseSessionID for decoders.
func (id *SessionID) UnmarshalText(text []byte) (err error) {
	*id, err = ParseSessionID(string(text))
	return err
}

// ParseSessionID reads what String wrote; anything else, upper case included, is an error.
func ParseSessionID(s string) (SessionID, error) {
	var id SessionID
	if len(s) != hex.EncodedLen(len(id)) {
		return SessionID{}, fmt.Errorf("auth: a session ID has %d digits, not %d", hex.EncodedLen(len(id)), len(s))
	}
	if _, err := hex.Decode(id[:], []byte(s)); err != nil || id.String() != s {
		return SessionID{}, fmt.Errorf("auth: a session ID has lower-case hexadecimal digits only")
	}
	return id, nil
}

// AttemptID names one call of Refresh or Reauthenticate, so that the call recognizes its
// own success when the store's reply to it was lost.
type AttemptID [16]byte

// Client is where a request came from. The zero value is a client that is not known: the
// limits by IP address leave it out, and all such calls together have one client's part of
// the queue for hashing.
type Client struct {
	IP        netip.Addr
	UserAgent string // at most 255 code points are kept
}

// Session is one login on one device.
type Session struct {
	ID              SessionID
	UserID          UserID
	CreatedAt       time.Time // by the store's clock
	AuthenticatedAt time.Time // when the user last proved who they are; by Config.Now, whole seconds, as the two below
	ExpiresAt       time.Time // without a refresh until then, the session ends
	MaxExpiresAt    time.Time // the session ends then in any case
	Client          Client    // of the last rotation
}

// RetiredKept is how many retirement times of past generations a session's row keeps.
const RetiredKept = 8

// CreationSlack is how much later than a session's row, or an access token, its user's
// row may have been created: clocks differ, and IDs given again by a failover must not
// open a stranger's account.
const CreationSlack = 5 * time.Minute

// Reasons for which a session's row is revoked.
const (
	ReasonLogout      = "logout"       // by its refresh token
	ReasonLogoutAll   = "logout_all"   // by the user, with all of theirs
	ReasonRevoked     = "revoked"      // by the user, from the list of sessions
	ReasonReuse       = "reuse"        // an old refresh token was used again
	ReasonUserChanged = "user_changed" // the user changed while the login was under way
	ReasonPassword    = "password"     // the user's password was changed
	ReasonDisabled    = "disabled"     // the user was disabled
	ReasonAll         = "all"          // by the host, with everybody's
)

// SessionState is a session's row as SessionByID, ReadSession or SessionsByUser found it.
type SessionState struct {
	Session
	AuthVersion int64       // the user's, when the session began
	Generation  int64       // from 1: of the refresh token that is valid now
	RotatedBy   AttemptID   // the attempt that made Generation; zero before the first
	Retired     []time.Time // when Generation-1, Generation-2, … were rotated away, newest first, at most RetiredKept; by the store's clock
	RevokedAt   time.Time   // zero: not revoked; by the store's clock
	Reason      string
	ReadAt      time.Time // the store's clock at the read

	// UserCurrent says that the user exists, has the row's AuthVersion, and was created
	// at most CreationSlack after the row. Stores that do not hold the users leave it
	// false, and the Authenticator finds out by UserByID.
	UserCurrent bool
}

// Rotation is one attempt to replace a session's refresh token by its successor. Every
// repeat of the attempt is the same in every field.
type Rotation struct {
	Session    SessionID
	UserID     UserID
	Generation int64     // of the token that was presented
	Attempt    AttemptID // becomes the row's RotatedBy
	Now        time.Time // the row's ExpiresAt must lie after it
	ExpiresAt  time.Time // becomes the row's
	Client     Client    // becomes the row's

	// AuthenticatedAt becomes the row's: the claim auth_time of the token that was
	// presented, or Now where the user has just proven who they are.
	AuthenticatedAt time.Time

	// Window is the time in which at most RetiredKept rotations may fall; zero: no limit.
	// A retirement that seems to lie in the future counts as one of just now.
	Window time.Duration

	// AuthVersion and UserCreatedAt are the user's, as just read. A store that holds the
	// users itself ignores them: they are zero where Stores.SharedUsers is set.
	AuthVersion   int64
	UserCreatedAt time.Time
}

// Stores is what New needs to keep users and sessions in.
type Stores struct {
	Users   UserStore
	Refresh RefreshStore

	// Accounts changes users. Default: nil, DisableUser and EnableUser return an error.
	Accounts AccountStore

	// Limiter keeps the budgets of failed logins and of sign-ups, for all instances that
	// share it. Default: nil, each Authenticator keeps its own in memory.
	Limiter limit.Limiter

	// SharedUsers says that Refresh holds the users too and checks them in the same
	// statement. False, the safe value, has the Authenticator read the user before each
	// refresh and once more after each login. Default: false.
	SharedUsers bool

	// IntegerIDs says that user IDs are decimal numbers, to be written as JSON numbers in
	// response bodies; in tokens they are strings always. Default: false.
	IntegerIDs bool

	// Check looks for what is set up wrongly in the stores. Default: nil, nothing is
	// looked at.
	Check func(ctx context.Context, in CheckInput) ([]Finding, error)
}

// UserStore holds users. Its methods are safe for concurrent use, heed ctx, and return
// an error that Is ErrUnavailable where a later try may succeed. A host with a users
// table of its own implements these four; whenever it changes a password, disables or
// deletes a user, it raises AuthVersion in the same transaction: that ends the user's
// sessions.
type UserStore interface {
	// CreateUser stores a new user with AuthVersion 1 and returns its ID. Of concurrent
	// calls with one EmailKey exactly one succeeds, the others get ErrEmailTaken: a
	// unique index decides, never a look before. On any error no user is left behind,
	// save that after ErrUnavailable it is unknown.
	CreateUser(ctx context.Context, u NewUser) (UserID, error)

	// UserByEmail returns the user with exactly this canonical key, byte for byte, or
	// ErrUserNotFound.
	UserByEmail(ctx context.Context, emailKey string) (UserRecord, error)

	// UserByID returns the user with this ID, or ErrUserNotFound, also where the text can
	// be no ID of this store's.
	UserByID(ctx context.Context, id UserID) (UserRecord, error)

	// UpdatePassword replaces the hash if it still is old, in one step, and says whether
	// it was. It is the rehash at login: AuthVersion and sessions stay as they are.
	UpdatePassword(ctx context.Context, id UserID, old, hash string) (swapped bool, err error)
}

// RefreshStore holds sessions. Its methods are safe for concurrent use, also by several
// processes, heed ctx, and return an error that Is ErrUnavailable where a later try may
// succeed. Each may be called again with the same arguments and then has the same
// effect as once. Instants are kept to the microsecond at least.
type RefreshStore interface {
	// CreateSession stores a session of generation 1, created now by the store's clock
	// (s.CreatedAt is ignored). A store that holds the users does so only if the user
	// exists with this authVersion, in one step, else ErrUserChanged. A session whose ID
	// is there already was stored by an earlier try: nil.
	CreateSession(ctx context.Context, s Session, authVersion int64) error

	// RotateSession, in one step, makes r.Generation+1 the session's generation, sets
	// RotatedBy, ExpiresAt, Client and AuthenticatedAt from r, and puts now, by the store's
	// clock, in front of Retired, if the row is r.UserID's, at r.Generation, not revoked,
	// expires after r.Now, has its user (a user that exists, with an equal AuthVersion,
	// created at most CreationSlack after the row), and r.Window is not exhausted: its
	// eighth retirement lies more than Window back. It says whether it did. Of concurrent
	// calls for one generation at most one does.
	RotateSession(ctx context.Context, r Rotation) (rotated bool, err error)

	// RecoverSession is RotateSession for a row whose generation is less than
	// r.Generation, because the store lost writes. Window does not matter. Retired becomes
	// now for r.Generation and the Unix epoch for the RetiredKept-1 before it.
	RecoverSession(ctx context.Context, r Rotation) (recovered bool, err error)

	// SessionByID returns the session's row, or ErrSessionNotFound. It sees every write
	// that was acknowledged before it began, by whichever node of a cluster, and waits for
	// none under way: routes ask it for each request.
	SessionByID(ctx context.Context, id SessionID) (SessionState, error)

	// ReadSession is SessionByID for judging a rotation that changed nothing: it waits for
	// the writes under way too, and a replica never answers it.
	ReadSession(ctx context.Context, id SessionID) (SessionState, error)

	// RevokeSession revokes the session if it is the user's and live, for good. That
	// there is no such session, or that it was revoked before, is no error, and changes
	// neither the time nor the reason of an earlier revocation.
	RevokeSession(ctx context.Context, id SessionID, user UserID, reason string) error

	// RevokeUserSessions is RevokeSession for every session of the user's whose storing was
	// acknowledged before it began, all but keep; the zero SessionID keeps none.
	RevokeUserSessions(ctx context.Context, user UserID, keep SessionID, reason string) error

	// RevokeAllSessions is RevokeSession for everybody's sessions that were created before
	// that instant of the store's clock and whose storing was acknowledged before it began.
	// It may work in several steps, and says how many
	// sessions it revoked, also with an error.
	RevokeAllSessions(ctx context.Context, before time.Time, reason string) (revoked int64, err error)

	// SessionsByUser returns the user's sessions that are not revoked and expire after
	// now, the newest first, at most limit of them. It sees what SessionByID sees.
	SessionsByUser(ctx context.Context, user UserID, now time.Time, limit int) ([]SessionState, error)

	// PurgeSessions deletes at most limit rows that expire before that instant, and no
	// other, also where a row is extended meanwhile. It says how many it deleted, holds up
	// no session that goes on, and does no harm to calls beside it: of two that find the
	// same rows one deletes them. 0 and nil say that it found nothing left.
	PurgeSessions(ctx context.Context, before time.Time, limit int) (purged int, err error)
}

// AccountStore changes users. Its methods are safe for concurrent use, heed ctx, and
// return ErrUserNotFound, or an error that Is ErrUnavailable where a later try may
// succeed and it is unknown whether this one did.
//
// Each raises the user's AuthVersion and revokes, or deletes, the user's sessions in the
// one transaction of its change: once it has returned nil, no session that began before
// can be refreshed, and a login that began before can store none.
type AccountStore interface {
	// SetDisabled makes the user Disabled or not, with ReasonDisabled. To enable a user who
	// is not Disabled changes nothing.
	SetDisabled(ctx context.Context, id UserID, disabled bool) error

	// SetPassword replaces the hash, at most 255 bytes, whatever it was, with
	// ReasonPassword.
	SetPassword(ctx context.Context, id UserID, hash string) error

	// DeleteUser deletes the user with their sessions. Their ID is never given again.
	DeleteUser(ctx context.Context, id UserID) error
}
