package mysqlstore

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"github.com/go-sql-driver/mysql"

	"github.com/ostiary/auth"
)

// Numbers of the server's errors that the store acts upon.
const (
	errTableExists       = 1050
	errColumnExists      = 1060
	errKeyExists         = 1061
	errDuplicate         = 1062
	errUnknownVariable   = 1193
	errLockWait          = 1205
	errUnknownStatement  = 1243
	errTooManyStatements = 1461
	errNeedReprepare     = 1615
	errStatementTime     = 1969
)

// errorNumber is the number of the server's error in err, or 0.
func errorNumber(err error) uint16 {
	if e, ok := errors.AsType[*mysql.MySQLError](err); ok {
		return e.Number
	}
	return 0
}

// duplicateOf says whether err is the refusal of a duplicate by the unique index with
// this name. The name is the last one in quotes, whatever the words around it are; some
// servers put the table's name and a dot before it.
func duplicateOf(err error, index string) bool {
	e, ok := errors.AsType[*mysql.MySQLError](err)
	if !ok || e.Number != errDuplicate {
		return false
	}
	parts := strings.Split(e.Message, "'")
	if len(parts) < 3 {
		return false
	}
	name := parts[len(parts)-2]
	return name[strings.LastIndexByte(name, '.')+1:] == index
}

// isConflict says whether err means that the transaction came into another's way, and
// that the server, or a rollback of ours, has undone all of it for certain.
func isConflict(err error) bool {
	switch errorNumber(err) {
	case 1213, // deadlock, or a conflict with another node
		errLockWait,
		1020, // the row has changed since the snapshot
		3101, // rolled back at commit, by Group Replication
		1180, // error during commit, of a cluster
		3572: // NOWAIT on a locked row
		return true
	}
	return false
}

// isUnavailable says whether a later try, perhaps on another connection or server, may
// succeed. Whether a write took place is unknown.
func isUnavailable(err error) bool {
	if isConflict(err) {
		return true
	}
	switch errorNumber(err) {
	case 1047, // the node is outside its cluster
		1053,             // server shutdown
		1290, 1792, 1836, // read-only
		2006, 2013, // lost connection, as proxies say it
		1040, 1203, 1226, // too many connections, or a user's limit
		3024, errStatementTime, 1317, // statement time limit, killed query
		1927, 3169, 4031, // killed or idle connection
		3032, 3100, // offline mode; a plugin of Group Replication was in the way
		3796, 3797, 3798, 3799: // a member of a group that is not in step with it
		return true
	}
	for _, target := range []error{
		driver.ErrBadConn, mysql.ErrInvalidConn, mysql.ErrMalformPkt, mysql.ErrPktSync, mysql.ErrPktSyncMul, mysql.ErrBusyBuffer, sql.ErrConnDone,
		io.EOF, io.ErrUnexpectedEOF, context.DeadlineExceeded, context.Canceled,
	} {
		if errors.Is(err, target) {
			return true
		}
	}
	_, isNet := errors.AsType[net.Error](err)
	return isNet ||
		strings.HasSuffix(err.Error(), "sql: database is closed") // database/sql does not export it
}

// translate wraps an error of the driver, or of a hook, for the caller: it Is
// auth.ErrUnavailable where a later try may succeed. Nil stays nil.
func translate(what string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, auth.ErrUnavailable) || !isUnavailable(err):
		return fmt.Errorf("mysqlstore: %s: %w", what, err)
	default:
		return fmt.Errorf("mysqlstore: %s: %w: %w", what, auth.ErrUnavailable, err)
	}
}
