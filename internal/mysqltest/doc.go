// Package mysqltest gives tests a real MySQL or MariaDB server.
//
// A test binary starts at most one server for each leg, a kind of server that the
// stores must be right on, when a test first asks for it: on a free port of the
// loopback interface, with its data in a temporary folder. Main stops them all at the
// end and removes what they wrote. Each test gets databases of its own.
//
// The environment is read for three names. AUTH_TEST_MYSQL_DSN lists servers to use
// instead, as data source names with spaces between them, whose users may create
// databases. XDG_CACHE_HOME is where unpacked servers are looked for. Where no server
// is found, tests that need one are skipped, or fail if AUTH_REQUIRE_MYSQL is 1.
package mysqltest
