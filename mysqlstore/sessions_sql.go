package mysqlstore

// The statements on refresh_tokens. "Shared" are those beside our own users, whose row
// is checked in the same statement; "alone" those for a host with its own users.
const (
	sessionColumns = "INSERT INTO refresh_tokens (id, generation, rotated_by, retired, created_at, authenticated_at, expires_at, " +
		"max_expires_at, revoked_at, reason, ip, user_agent, user_id, auth_version) "
	sessionValues = "?, 1, UNHEX(REPEAT('00', 16)), '', UTC_TIMESTAMP(6), ?, ?, ?, NULL, '', ?, " + utf8Argument

	// The user's row is locked, so that the insert waits for a change of the user that is
	// under way and sees it.
	createShared = sessionColumns + "SELECT " + sessionValues + ", id, auth_version FROM users " +
		"WHERE id = ? AND auth_version = ? LOCK IN SHARE MODE"
	createAlone = sessionColumns + "VALUES (" + sessionValues + ", ?, ?)"

	// generation grows in every statement, so that a row that matches is a row that
	// changes, whichever of the two the server counts. No column is set from another one
	// that is set beside it, since the order of assignments in a join is not promised.
	rotateSet = "SET s.retired = LEFT(CONCAT(" + nowBytes + ", s.retired), 64), s.generation = s.generation + 1, " + bothSet +
		" AND s.generation = ? AND s.revoked_at IS NULL AND s.expires_at > ?"
	recoverSet = "SET s.retired = CONCAT(" + nowBytes + ", UNHEX(REPEAT('00', 56))), s.generation = ? + 1, " + bothSet +
		" AND s.generation < ? AND s.revoked_at IS NULL AND s.expires_at > ?"
	bothSet = "s.rotated_by = ?, s.expires_at = ?, s.ip = ?, s.user_agent = " + utf8Argument +
		", s.authenticated_at = ? WHERE s.id = ? AND s.user_id = ?"

	// The eighth retirement lies before the window, as bytes; a shorter list has none.
	windowGuard = " AND (? = 0 OR LENGTH(s.retired) < 64 OR SUBSTR(s.retired, 57, 8) < UNHEX(LPAD(HEX(" + nowMicros + " - ?), 16, '0')))"

	updateShared = "UPDATE refresh_tokens s JOIN users u ON u.id = s.user_id "
	userIsShared = " AND " + userCurrent

	// MariaDB updates one table by any index that gives one row, and then locks the gap
	// beside it, in which the user's next session may have to go.
	updateAlone = "UPDATE refresh_tokens s FORCE INDEX (PRIMARY) "
	userIsAlone = " AND s.auth_version = ? AND s.created_at >= ?"

	rotateShared  = updateShared + rotateSet + userIsShared + windowGuard
	rotateAlone   = updateAlone + rotateSet + userIsAlone + windowGuard
	recoverShared = updateShared + recoverSet + userIsShared
	recoverAlone  = updateAlone + recoverSet + userIsAlone

	// userCurrent says of a session's row s and its user's row u that they belong together.
	userCurrent = "u.auth_version = s.auth_version AND u.created_at <= s.created_at + INTERVAL ? MICROSECOND"

	// What revokes a row that is not revoked yet.
	revokeSet = " SET revoked_at = UTC_TIMESTAMP(6), reason = " + utf8Argument + " WHERE revoked_at IS NULL AND "

	revokeSession      = "UPDATE refresh_tokens FORCE INDEX (PRIMARY)" + revokeSet + "id = ? AND user_id = ?"
	revokeUserSessions = "UPDATE refresh_tokens FORCE INDEX (user_id)" + revokeSet + "user_id = ? AND id <> ?"

	readState = "SELECT @@global.read_only, @@global.innodb_read_only, s.id, " +
		"s.user_id, s.auth_version, s.generation, s.rotated_by, s.retired, " +
		sinceEpoch + "s.created_at), " + sinceEpoch + "s.authenticated_at), " + sinceEpoch + "s.expires_at), " +
		sinceEpoch + "s.max_expires_at), " + sinceEpoch + "s.revoked_at), CAST(s.reason AS BINARY), s.ip, " +
		"CAST(s.user_agent AS BINARY), " + nowMicros + ", "
	readStateShared = readState + "u.id IS NOT NULL AND " + userCurrent
	readStateAlone  = readState + "0"

	// A read gives one row, also where there is no such session, so that a replica which
	// has not heard of it yet says that it is one.
	always      = " FROM (SELECT 1 AS one) always LEFT JOIN refresh_tokens s "
	itsUser     = " LEFT JOIN users u ON u.id = s.user_id"
	readSession = always + "ON s.id = ?"
	readShared  = readStateShared + readSession + itsUser
	readAlone   = readStateAlone + readSession

	readSessions = always + "FORCE INDEX (user_id) ON s.user_id = ? AND s.revoked_at IS NULL AND s.expires_at > ?"
	newestFirst  = " ORDER BY s.created_at DESC, s.id LIMIT ?"
	listShared   = readStateShared + readSessions + itsUser + newestFirst
	listAlone    = readStateAlone + readSessions + newestFirst

	// With it a read waits for the writes that are under way.
	waiting = " LOCK IN SHARE MODE"
)
