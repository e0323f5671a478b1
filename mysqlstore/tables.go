package mysqlstore

const (
	usersTable           = "users"
	refreshTable         = "refresh_tokens"
	limitsTable          = "rate_limits"
	tutorialRefreshTable = "tutorial_refresh_tokens" // where UpgradeTutorial leaves the tutorial's refresh_tokens
	binaryCollation      = "utf8mb4_bin"
)

// ourUsers is what 00001_users.sql makes.
func ourUsers() table {
	return table{
		name: usersTable,
		columns: []column{
			{name: "id", kind: "bigint", autoIncrement: true},
			{name: "name", kind: "varchar(255)", collation: binaryCollation},
			{name: "email", kind: "varchar(254)", collation: binaryCollation},
			{name: "email_key", kind: "varbinary(254)"},
			{name: "password", kind: "varbinary(255)"},
			{name: "auth_version", kind: "bigint"},
			{name: "disabled", kind: "tinyint"},
			{name: "created_at", kind: "datetime(6)"},
			{name: "updated_at", kind: "datetime(6)"},
		},
		indexes: []index{
			{name: "email_key", columns: "email_key", unique: true},
			{name: "PRIMARY", columns: "id", unique: true},
		},
	}
}

// ourSessions is what sessions/00001_refresh_tokens.sql makes.
func ourSessions() table {
	return table{
		name: refreshTable,
		columns: []column{
			{name: "id", kind: "binary(16)"},
			{name: "user_id", kind: "varbinary(64)"},
			{name: "auth_version", kind: "bigint"},
			{name: "generation", kind: "bigint"},
			{name: "rotated_by", kind: "binary(16)"},
			{name: "retired", kind: "varbinary(64)"},
			{name: "created_at", kind: "datetime(6)"},
			{name: "authenticated_at", kind: "datetime(6)"},
			{name: "expires_at", kind: "datetime(6)"},
			{name: "max_expires_at", kind: "datetime(6)"},
			{name: "revoked_at", kind: "datetime(6)", nullable: true},
			{name: "reason", kind: "varchar(32)", collation: binaryCollation},
			{name: "ip", kind: "varbinary(16)"},
			{name: "user_agent", kind: "varchar(255)", collation: binaryCollation},
		},
		indexes: []index{
			{name: "expires_at", columns: "expires_at"},
			{name: "PRIMARY", columns: "id", unique: true},
			{name: "user_id", columns: "user_id"},
		},
	}
}

// ourSharedSessions is what 00002_refresh_tokens.sql makes.
func ourSharedSessions() table {
	t := ourSessions()
	t.columns[1].kind = "bigint"
	t.foreign = []foreignKey{{name: "refresh_tokens_user", table: usersTable, onDelete: "CASCADE"}}
	return t
}

// ourLimits is what 00003_rate_limits.sql and sessions/00002_rate_limits.sql make.
func ourLimits() table {
	return table{
		name: limitsTable,
		columns: []column{
			{name: "id", kind: "binary(32)"},
			{name: "full_at", kind: "bigint"},
		},
		indexes: []index{
			{name: "full_at", columns: "full_at"},
			{name: "PRIMARY", columns: "id", unique: true},
		},
	}
}

// tutorialUsers are the columns of the tutorial's users.
func tutorialUsers() []column {
	return []column{
		{name: "id", kind: "int", autoIncrement: true},
		{name: "name", kind: "varchar(30)"},
		{name: "email", kind: "varchar(40)"},
		{name: "password", kind: "varchar(70)"},
		{name: "created_at", kind: "datetime"},
		{name: "updated_at", kind: "datetime"},
	}
}

// tutorialRefreshTokens are the columns of the tutorial's refresh_tokens.
func tutorialRefreshTokens() []column {
	return []column{
		{name: "user_id", kind: "int"},
		{name: "token", kind: "varchar(35)"},
		{name: "created_at", kind: "datetime"},
	}
}
