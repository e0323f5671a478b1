package mysqlstore

import (
	"context"
	"database/sql"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// queryer is a [sql.DB], a [sql.Conn] or a [sql.Tx].
type queryer interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// table is what a table of the connection's database is made of, as far as the store
// depends on it.
type table struct {
	name    string
	columns []column // in their order
	indexes []index  // by name
	foreign []foreignKey
}

// column is a column of a table.
type column struct {
	name          string
	kind          string // its type, without the display width that some servers give integers
	collation     string // "" where the type has none
	nullable      bool
	autoIncrement bool
}

// index is an index of a table. The primary key's name is PRIMARY.
type index struct {
	name    string
	columns string // in their order, with commas
	unique  bool
}

// foreignKey is a foreign key of a table.
type foreignKey struct {
	name     string
	table    string // the one referred to
	onDelete string
}

// inspect returns the table with this name in the connection's database. There is none
// if it has no columns.
func inspect(ctx context.Context, q queryer, name string) (t table, err error) {
	t.name = name
	if t.columns, err = columns(ctx, q, name); err != nil {
		return table{}, err
	}
	if t.indexes, err = indexes(ctx, q, name); err != nil {
		return table{}, err
	}
	t.foreign, err = foreignKeys(ctx, q, name)
	return t, err
}

// exists says whether inspect found the table.
func (t table) exists() bool { return len(t.columns) > 0 }

// columns returns the columns of a table or view in their order, none if there is no
// such table.
func columns(ctx context.Context, q queryer, name string) ([]column, error) {
	const query = "SELECT column_name, column_type, COALESCE(collation_name, ''), is_nullable = 'YES', extra LIKE '%auto_increment%' " +
		"FROM information_schema.columns WHERE table_schema = DATABASE() AND table_name = ? ORDER BY ordinal_position"
	list, err := readAll(ctx, q, func(rows *sql.Rows) (c column, err error) {
		err = rows.Scan(&c.name, &c.kind, &c.collation, &c.nullable, &c.autoIncrement)
		c.kind = normalizeType(c.kind)
		return c, err
	}, query, name)
	return list, translate("columns of "+name, err)
}

// indexes returns the indexes of a table by name.
func indexes(ctx context.Context, q queryer, name string) ([]index, error) {
	const query = "SELECT index_name, COALESCE(column_name, ''), non_unique = 0 " +
		"FROM information_schema.statistics WHERE table_schema = DATABASE() AND table_name = ? ORDER BY index_name, seq_in_index"
	parts, err := readAll(ctx, q, func(rows *sql.Rows) (x index, err error) {
		err = rows.Scan(&x.name, &x.columns, &x.unique)
		return x, err
	}, query, name)
	var list []index
	for _, x := range parts {
		if n := len(list); n > 0 && list[n-1].name == x.name {
			list[n-1].columns += "," + x.columns
		} else {
			list = append(list, x)
		}
	}
	return list, translate("indexes of "+name, err)
}

// foreignKeys returns the foreign keys of a table by name.
func foreignKeys(ctx context.Context, q queryer, name string) ([]foreignKey, error) {
	const query = "SELECT constraint_name, referenced_table_name, delete_rule FROM information_schema.referential_constraints " +
		"WHERE constraint_schema = DATABASE() AND table_name = ? ORDER BY constraint_name"
	list, err := readAll(ctx, q, func(rows *sql.Rows) (k foreignKey, err error) {
		err = rows.Scan(&k.name, &k.table, &k.onDelete)
		return k, err
	}, query, name)
	return list, translate("foreign keys of "+name, err)
}

// readAll runs a query as text, since the server may have no room for another prepared
// statement.
func readAll[T any](ctx context.Context, q queryer, scan func(*sql.Rows) (T, error), query string, args ...any) ([]T, error) {
	text, err := inline(query, args)
	if err != nil {
		return nil, err
	}
	rows, err := q.QueryContext(ctx, text)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	var list []T
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	return list, rows.Err()
}

var displayWidth = regexp.MustCompile(`^(tinyint|smallint|mediumint|int|bigint)\(\d+\)`)

// normalizeType removes the display width of integers, which MariaDB writes and MySQL
// does not.
func normalizeType(kind string) string {
	return displayWidth.ReplaceAllString(strings.ToLower(kind), "$1")
}

// lacks lists what found has not, or has otherwise, of t. Columns, indexes and foreign
// keys that it has beside are the host's.
func (t table) lacks(found table) []string {
	if !found.exists() {
		return []string{"table " + t.name + " is missing"}
	}
	var list []string
	for _, want := range t.columns {
		i := slices.IndexFunc(found.columns, func(c column) bool { return c.name == want.name })
		switch {
		case i < 0:
			list = append(list, fmt.Sprintf("column %s of table %s is missing", want.name, t.name))
		case found.columns[i] != want:
			list = append(list, fmt.Sprintf("column %s of table %s is %s, not %s", want.name, t.name, found.columns[i], want))
		}
	}
	for _, want := range t.indexes {
		if !slices.Contains(found.indexes, want) {
			list = append(list, fmt.Sprintf("index %s (%s) of table %s is missing or another", want.name, want.columns, t.name))
		}
	}
	for _, want := range t.foreign {
		if !slices.Contains(found.foreign, want) {
			list = append(list, fmt.Sprintf("foreign key %s of table %s is missing or another", want.name, t.name))
		}
	}
	return list
}

// String is the column's type as SQL has it.
func (c column) String() string {
	s := c.kind
	if c.collation != "" {
		s += " collate " + c.collation
	}
	if !c.nullable {
		s += " not null"
	}
	if c.autoIncrement {
		s += " auto_increment"
	}
	return s
}

// sameColumns says whether the table has exactly these columns, in any order, whatever
// their collations.
func (t table) sameColumns(want []column) bool {
	have, want := slices.Clone(t.columns), slices.Clone(want)
	for _, list := range [][]column{have, want} {
		for i := range list {
			list[i].collation = ""
		}
	}
	byName := func(a, b column) int { return strings.Compare(a.name, b.name) }
	return slices.Equal(slices.SortedFunc(slices.Values(have), byName), slices.SortedFunc(slices.Values(want), byName))
}
